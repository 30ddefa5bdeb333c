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

static char directory[64], daemon_path[PATH_MAX], log_path[96];

static void find_daemon(const char *daemon)
{
	char own[PATH_MAX - 64] = "", path[PATH_MAX];

	if (readlink("/proc/self/exe", own, sizeof(own) - 1) < 0)
		perror("/proc/self/exe");
	*strrchr(own, '/') = '\0';
	snprintf(path, sizeof(path), "%s/%s", own, daemon);
	if (!realpath(path, daemon_path)) {
		perror(path);
		exit(1);
	}
}

void keeper_init(const char *daemon)
{
	char path[96];

	find_daemon(daemon);
	strcpy(directory, "/tmp/chaos.XXXXXX");
	if (!mkdtemp(directory)) {
		perror(directory);
		exit(1);
	}
	snprintf(path, sizeof(path), "%s/socket", directory);
	setenv("TTYLOCK_SOCKET", path, 1);
	/* Not that of a failure of the daemon's own. */
	setenv("ASAN_OPTIONS", "exitcode=66", 0);
	snprintf(log_path, sizeof(log_path), "%s/ttylockd.log", directory);
	unsetenv("TTYLOCK_GRANT");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void open_log(void)
{
	int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
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

const char *keeper_log(void)
{
	return log_path;
}

void keeper_print_log(unsigned lines)
{
	char command[160];

	printf("all of it: %s\n", log_path);
	snprintf(command, sizeof(command), "tail -n %u %s | sed 's/^/  /'", lines, log_path);
	fflush(stdout);
	if (system(command) != 0)
		puts("no log");
	/* What a sanitizer said. */
	snprintf(command, sizeof(command),
	    "grep -a -A 24 -m 2 -e ' ERROR: ' -e 'runtime error: ' %s", log_path);
	if (system(command) < 0)
		perror("grep");
}

void keeper_end(bool keep_log)
{
	static const char *const names[] = {"socket", "socket.lock", "socket.ledger"};
	char path[96];
	pid_t pid = keeper_pid();

	if (pid > 0)
		kill(pid, SIGKILL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	if (keep_log)
		return;
	unlink(log_path);
	rmdir(directory);
}
