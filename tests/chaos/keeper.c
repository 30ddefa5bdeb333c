#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char directory[64], daemon_path[PATH_MAX];

/* Beside us: build/tests/chaos/storm, build/ttylockd. */
static void find_daemon(void)
{
	if (readlink("/proc/self/exe", daemon_path, sizeof(daemon_path) - 32) < 0)
		perror("/proc/self/exe");
	for (int i = 0; i < 3; i++)
		*strrchr(daemon_path, '/') = '\0';
	strcat(daemon_path, "/ttylockd");
}

void keeper_init(void)
{
	char path[96];

	find_daemon();
	strcpy(directory, "/tmp/chaos.XXXXXX");
	if (!mkdtemp(directory)) {
		perror(directory);
		exit(1);
	}
	snprintf(path, sizeof(path), "%s/socket", directory);
	setenv("TTYLOCK_SOCKET", path, 1);
	unsetenv("TTYLOCK_GRANT");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void open_log(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/ttylockd.log", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
}

void keeper_start(void)
{
	if (fork() != 0)
		return;
	setsid();
	open_log();
	execl(daemon_path, "ttylockd", "--on-demand", "--socket", getenv("TTYLOCK_SOCKET"),
	    (char *)NULL);
	_exit(1);
}

pid_t keeper_pid(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path, getenv("TTYLOCK_SOCKET"));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	close(fd);
	return peer.pid;
}

void keeper_print_log(unsigned lines)
{
	char command[160];

	snprintf(command, sizeof(command), "tail -n %u %s/ttylockd.log | sed 's/^/  /'", lines,
	    directory);
	fflush(stdout);
	if (system(command) != 0)
		puts("no log");
}

void keeper_end(void)
{
	static const char *const names[] = {
	    "socket", "socket.lock", "socket.ledger", "ttylockd.log"};
	char path[96];
	pid_t pid = keeper_pid();

	if (pid > 0)
		kill(pid, SIGKILL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
}
