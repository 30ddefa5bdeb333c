/*
 * Threads that wait, each in its own way, for tests of stack dumps: stacks WAY... starts a thread
 * for each WAY, prints "ready PID" when all of them wait and waits for a byte on standard input.
 * Then it prints "undisturbed", or the ways that have come back from their wait, which none may,
 * and ends with 0 or 1. The ways are the table at the end. `vfork` is no thread but a process of
 * its own whose parent waits in vfork().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAYS_MAX = 16, DEPTH = 10000 };

/* Shared with the children: who has come back, and how many stand where they should. */
struct board {
	_Atomic int returned[WAYS_MAX];
	_Atomic int ready;
	_Atomic pid_t last; /* who has come last, and is about to wait; 0: it will not */
};

static struct board *board;
static pthread_mutex_t taken = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t never_lock = PTHREAD_MUTEX_INITIALIZER;

static void in_place(void)
{
	board->last = (pid_t)syscall(SYS_gettid);
	board->ready++;
}

static void way_lock(void)
{
	in_place();
	pthread_mutex_lock(&taken);
}

static void way_nanosleep(void)
{
	struct timespec t = {1000, 0};

	in_place();
	nanosleep(&t, NULL);
}

static void way_condition(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 1000;
	pthread_mutex_lock(&never_lock);
	in_place();
	pthread_cond_timedwait(&never, &never_lock, &until);
}

static void bottom_of_recursion(void)
{
	in_place();
	poll(NULL, 0, 1000 * 1000);
}

static int recurse(int left)
{
	if (left == 0) {
		bottom_of_recursion();
		return 0;
	}
	return recurse(left - 1) + 1;
}

static void way_deep(void)
{
	recurse(DEPTH - 3);
}

/* Whoever grows the heap comes here, with malloc's lock in hand. */
static void stay_in_brk(int sig)
{
	(void)sig;
	in_place();
	for (;;)
		syscall(SYS_pause);
}

static void trap_brk(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_brk, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void way_malloc(void)
{
	struct sigaction sa = {.sa_handler = stay_in_brk};

	sigaction(SIGSYS, &sa, NULL);
	trap_brk();
	for (;;)
		if (!malloc(64 << 10))
			return;
}

static void way_epoll(void)
{
	struct epoll_event event;
	int fd = epoll_create1(0);

	in_place();
	epoll_wait(fd, &event, 1, -1);
}

static void way_sigwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	in_place();
	sigwaitinfo(&set, NULL);
}

static void way_receive(void)
{
	struct timeval tv = {.tv_sec = 1000};
	int fds[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return;
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	in_place();
	recv(fds[0], &byte, 1, 0);
}

static void way_semop(void)
{
	struct sembuf down = {.sem_op = -1};
	int set = semget(IPC_PRIVATE, 1, 0600);

	in_place();
	semop(set, &down, 1);
}

static void way_spin(void)
{
	board->ready++;
	for (volatile unsigned n = 0;; n++)
		;
}

/* The child may only do what leaves its parent's frame alone. */
__attribute__((noinline)) static void stay_in_vfork_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	in_place();
	for (;;)
		poll(NULL, 0, 1000 * 1000);
}

static void way_vfork(void)
{
	if (vfork() == 0)
		stay_in_vfork_child();
}

static const struct way {
	const char *name;
	void (*go)(void);
} ways[] = {
    {"lock", way_lock},
    {"nanosleep", way_nanosleep},
    {"condition", way_condition},
    {"deep", way_deep},
    {"malloc", way_malloc},
    {"epoll", way_epoll},
    {"sigwait", way_sigwait},
    {"receive", way_receive},
    {"semop", way_semop},
    {"spin", way_spin},
    {"vfork", way_vfork},
};

struct start {
	int index;
	const struct way *way;
};

static void *thread_main(void *arg)
{
	struct start *start = arg;

	pthread_setname_np(pthread_self(), start->way->name);
	start->way->go();
	board->returned[start->index] = 1;
	for (;;)
		pause();
	return NULL;
}

/* The pid of a process of its own; 0: it is a thread. */
static pid_t launch(struct start *start)
{
	pthread_t thread;

	if (strcmp(start->way->name, "vfork") == 0) {
		pid_t pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			thread_main(start);
		}
		return pid;
	}
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 8 << 20);
	if (pthread_create(&thread, &attr, thread_main, start) != 0)
		exit(2);
	return 0;
}

static bool is_in_state(pid_t tid, char state)
{
	char path[32], text[256];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	const char *end_of_name = strrchr(text, ')');
	return end_of_name && end_of_name[2] == state;
}

/* Being in place is not enough: it may not have come to its wait yet. */
static void launch_and_await(struct start *start)
{
	int before = board->ready;

	board->last = 0;
	pid_t parent = launch(start);
	while (board->ready == before)
		usleep(100);
	while (board->last && !is_in_state(board->last, 'S'))
		usleep(100);
	while (parent && !is_in_state(parent, 'D'))
		usleep(100);
}

int main(int argc, char **argv)
{
	static struct start starts[WAYS_MAX];
	int count = argc - 1, returned = 0;
	char byte, line[256];
	sigset_t set;

	if (count < 1 || count > WAYS_MAX)
		return 64;
	mallopt(M_ARENA_MAX, 1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pthread_mutex_lock(&taken);
	board =
	    mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < count; i++) {
		for (size_t w = 0; w < sizeof(ways) / sizeof(*ways); w++)
			if (strcmp(ways[w].name, argv[i + 1]) == 0)
				starts[i] = (struct start){i, &ways[w]};
		if (!starts[i].way)
			return 64;
	}
	/* One after the other: who holds malloc's lock comes last. */
	for (int i = 0; i < count; i++)
		launch_and_await(&starts[i]);
	/* No stdio from here on: somebody may hold malloc's lock. */
	if (write(1, line, snprintf(line, sizeof(line), "ready %d\n", getpid())) < 0)
		return 2;
	if (read(0, &byte, 1) != 1)
		return 2;
	for (int i = 0; i < count; i++) {
		if (!board->returned[i])
			continue;
		returned = 1;
		if (write(1, line, snprintf(line, sizeof(line), "returned: %s\n", argv[i + 1])) < 0)
			return 2;
	}
	if (!returned && write(1, "undisturbed\n", 12) < 0)
		return 2;
	_exit(returned);
}
