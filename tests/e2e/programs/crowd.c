/*
 * Siblings that do something in the same instant: crowd WAY... starts a child for each WAY, lets
 * them all go at once, and prints, in their order and when all have ended, how each has ended. The
 * ways are the table at the end. Its own exit status is 0.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_MAX = 100 };

static int *volatile nowhere;

static void way_segv(void)
{
	*nowhere = 1;
}

static void way_exit(void)
{
	exit(7);
}

/* A breakpoint as a program can have it today: it asks for the debugger itself. */
static void way_pause(void)
{
	const char *ttylock = getenv("TTYLOCK_HELPER");
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	pid_t child = fork();
	if (child == 0) {
		execl(ttylock, "ttylock", "debug", "--why", "a pause on purpose", pid, NULL);
		_exit(127);
	}
	waitpid(child, NULL, 0);
	exit(0);
}

/* Says each line that it reads. */
static void way_read(void)
{
	char line[100];

	printf("reader %d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("the reader got: %s", line);
		fflush(stdout);
		if (strcmp(line, "end\n") == 0)
			exit(0);
	}
	exit(1);
}

static void on_user(int sig)
{
	static const char said[] = "poked\n";

	(void)sig;
	if (write(1, said, sizeof(said) - 1) < 0)
		_exit(1);
}

/* Reads only what it has been told of; says when SIGUSR1 comes. */
static void poll_input(const char *how)
{
	struct epoll_event in = {.events = EPOLLIN};
	struct pollfd fd = {.events = POLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char byte;
	fd_set set;

	signal(SIGUSR1, on_user);
	epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &in);
	FD_ZERO(&set);
	printf("%s %d polls\n", how, getpid());
	fflush(stdout);
	for (;;) {
		int n;

		FD_SET(0, &set);
		if (how[0] == 'p')
			n = poll(&fd, 1, -1);
		else if (how[0] == 's')
			n = select(1, &set, NULL, NULL, NULL);
		else
			n = epoll_wait(epoll, &in, 1, -1);
		if (n > 0 && read(0, &byte, 1) != 1)
			exit(1);
	}
}

static void way_poll(void)
{
	poll_input("poll");
}

static void way_select(void)
{
	poll_input("select");
}

static void way_epoll(void)
{
	poll_input("epoll");
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* Until SIGTERM; 0 if no Ctrl-C came. */
static void on_end(int sig)
{
	(void)sig;
	_exit(interrupted);
}

static void way_stay(void)
{
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_end);
	printf("stays %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}

static const struct way {
	const char *name;
	void (*go)(void);
} ways[] = {
    {"segv", way_segv},
    {"abort", abort},
    {"exit", way_exit},
    {"pause", way_pause},
    {"read", way_read},
    {"poll", way_poll},
    {"select", way_select},
    {"epoll", way_epoll},
    {"stay", way_stay},
};

static void go(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(ways[i].name, name) == 0)
			ways[i].go();
	}
	fprintf(stderr, "crowd: no way '%s'\n", name);
	_exit(64);
}

int main(int argc, char **argv)
{
	int gate[2], count = argc - 1, ends[CHILDREN_MAX];
	pid_t pids[CHILDREN_MAX];
	char byte;

	if (count > CHILDREN_MAX || pipe(gate) < 0)
		return 2;
	for (int i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return 2;
		if (pids[i] == 0) {
			close(gate[1]);
			if (read(gate[0], &byte, 1) == 0)
				go(argv[i + 1]);
			_exit(3);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < count; i++) {
		if (waitpid(pids[i], &ends[i], 0) != pids[i])
			return 2;
	}
	for (int i = 0; i < count; i++) {
		int status = ends[i];

		if (WIFSIGNALED(status))
			printf("%s %d: signal %d%s\n", argv[i + 1], pids[i], WTERMSIG(status),
			    WCOREDUMP(status) ? ", core" : "");
		else
			printf("%s %d: exit %d\n", argv[i + 1], pids[i], WEXITSTATUS(status));
	}
	return 0;
}
