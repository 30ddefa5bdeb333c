/* How long commands take from their start to their end, in turn within each round.
 *
 *	spawn ROUNDS BATCH , [NAME=VALUE]... COMMAND [ARGUMENT]... [, ...]
 *
 * Prints lines `INDEX ROUND NS`. A command that fails ends it.
 */
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define COMMANDS_MAX 16

extern char **environ;

/* The command's own environment: what it sets, then ours. */
static char **environment_of(char **command, char ***argvp)
{
	size_t n = 0, size = 0;

	while (command[n] && strchr(command[n], '='))
		n++;
	while (environ[size])
		size++;
	char **all = calloc(n + size + 1, sizeof(*all));
	if (!all)
		die("calloc", ENOMEM);
	memcpy(all, command, n * sizeof(*all));
	memcpy(all + n, environ, size * sizeof(*all));
	*argvp = command + n;
	return all;
}

static double once(char **argv, char **environment)
{
	static posix_spawn_file_actions_t actions;
	static int prepared;
	pid_t pid;
	int status;

	/* What it prints is none of our figures. */
	if (!prepared++) {
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	}
	double began = now_ns();
	int r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environment);
	if (r != 0)
		die(argv[0], r);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid", errno);
	double ns = now_ns() - began;
	if (status != 0)
		die(argv[0], 0);
	return ns;
}

int main(int argc, char **argv)
{
	struct {
		char **argv, **environment;
	} commands[COMMANDS_MAX];
	int n = 0;

	if (argc < 5)
		return 64;
	int rounds = atoi(argv[1]), batch = atoi(argv[2]);
	for (int i = 3; i < argc; i++)
		if (strcmp(argv[i], ",") == 0)
			argv[i] = NULL;
	for (int i = 3; i < argc && n < COMMANDS_MAX; i++) {
		if (argv[i])
			continue;
		commands[n].environment = environment_of(argv + i + 1, &commands[n].argv);
		n++;
	}
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < n; i++) {
			double sum = 0;

			for (int k = 0; k < batch; k++)
				sum += once(commands[i].argv, commands[i].environment);
			printf("%d %d %.0f\n", i, round, sum / batch);
		}
	}
	for (int i = 0; i < n; i++)
		free(commands[i].environment);
	return 0;
}
