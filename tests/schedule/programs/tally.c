/* tally FILE: adds one to the number in the file, as one would write it without
 * a thought of a second one: a program of its own for the schedules to drive.
 * With -c a child does it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync_point.h"

static void on_usr1(int sig)
{
	(void)sig;
	SYNC_POINT("tally.signalled");
}

static int add_one(const char *path)
{
	FILE *f = fopen(path, "r+");
	int n;

	if (!f || fscanf(f, "%d", &n) != 1)
		return 1;
	SYNC_POINT("tally.read");
	rewind(f);
	fprintf(f, "%d\n", n + 1);
	if (fclose(f) != 0)
		return 1;
	SYNC_POINT("tally.written");
	return 0;
}

int main(int argc, char **argv)
{
	int status;

	signal(SIGUSR1, on_usr1);
	if (argc == 2)
		return add_one(argv[1]);
	if (argc != 3 || strcmp(argv[1], "-c") != 0)
		return 64;
	pid_t pid = fork();
	if (pid == 0)
		_exit(add_one(argv[2]));
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
