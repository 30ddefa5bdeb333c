/*
 * Every way to crash that the handler has to know: crash MODE [FILE]. The modes are the table at
 * the end. Each real crash is in a function named bug_..., with a local worth printing, so that a
 * test can look for it in the debugger.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int zero;
static int *volatile nowhere;

static void bug_segv(void)
{
	int answer = 42;

	*nowhere = answer;
}

static void bug_abort(void)
{
	int answer = 42;

	if (answer)
		abort();
}

static void bug_fpe(void)
{
	int answer = 42;

	/* aarch64 divides by zero without a fault. */
	printf("%d\n", answer / zero);
	raise(SIGFPE);
}

static void bug_ill(void)
{
	int answer = 42;

	if (answer)
		__builtin_trap();
}

static void bug_bus(void)
{
	int answer = 42, fd = memfd_create("empty", MFD_CLOEXEC);
	int *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	*page = answer;
}

static void bug_trap(void)
{
	int answer = 42;

	if (answer) {
#ifdef __x86_64__
		__asm__ volatile("int3");
#else
		__asm__ volatile("brk #0");
#endif
	}
}

static void bug_raise_segv(void)
{
	raise(SIGSEGV);
}

static int bug_overflow(int depth)
{
	volatile char room[4096];

	room[0] = depth;
	if (depth < 0)
		return 0;
	return bug_overflow(depth + 1) + room[0];
}

static void overflow(void)
{
	bug_overflow(0);
}

/* malloc finds its top chunk smashed and aborts with its lock held. */
static void bug_heap(void)
{
	size_t size = 24, *chunk = malloc(size);

	for (int i = 0; i < 64; i++)
		chunk[i] = ~(size_t)7;
	free(malloc(1 << 20));
	chunk = malloc(100000);
	free(chunk);
	_exit(3);
}

static void *thread_overflow(void *arg)
{
	overflow();
	return arg;
}

static void *thread_segv(void *arg)
{
	bug_segv();
	return arg;
}

static void in_thread(void *(*run)(void *))
{
	pthread_t id;

	if (pthread_create(&id, NULL, run, NULL) == 0)
		pthread_join(id, NULL);
	_exit(4);
}

static void overflow_in_thread(void)
{
	in_thread(thread_overflow);
}

static void segv_in_thread(void)
{
	in_thread(thread_segv);
}

static void *thread_segv_alone(void *arg)
{
	char line[256] = "";
	const char *state;

	do {
		FILE *stat = fopen("/proc/self/stat", "r");

		if (!stat || !fgets(line, sizeof(line), stat))
			_exit(4);
		fclose(stat);
		state = strrchr(line, ')');
	} while (!state || state[2] != 'Z');
	return thread_segv(arg);
}

/* The first thread has ended: the process goes on as a zombie leader and the threads. */
static void leaderless(void)
{
	pthread_t id;

	pthread_create(&id, NULL, thread_segv_alone, NULL);
	pthread_exit(NULL);
}

static void *thread_idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* A debugger takes a while until it has attached to all of these, the crashed one last. */
static void among_many(void)
{
	pthread_t id;

	for (int n = 0; n < 300; n++)
		pthread_create(&id, NULL, thread_idle, NULL);
	segv_in_thread();
}

static pthread_barrier_t together;

static void *thread_two(void *arg)
{
	pthread_barrier_wait(&together);
	bug_segv();
	return arg;
}

static void two_threads(void)
{
	pthread_t id;

	pthread_barrier_init(&together, NULL, 2);
	pthread_create(&id, NULL, thread_two, NULL);
	thread_two(NULL);
}

static void on_usr1(int sig)
{
	(void)sig;
	bug_segv();
}

static void in_handler(void)
{
	signal(SIGUSR1, on_usr1);
	raise(SIGUSR1);
}

static void in_session(void)
{
	/* A leader of a process group cannot: be sure not to be one. */
	if (setsid() < 0 && fork() == 0) {
		setsid();
		bug_segv();
	}
	bug_segv();
}

static void without_stdin(void)
{
	close(0);
	bug_segv();
}

static void without_descriptors(void)
{
	close(0);
	close(1);
	bug_segv();
}

/* No signal is to be seen that was not there without us, and no child. */
static void on_child(int sig)
{
	(void)sig;
	_exit(5);
}

static void with_sigchld(void)
{
	signal(SIGCHLD, on_child);
	bug_segv();
}

/* Killed from outside: says that it is ready, and waits. */
static void wait_for_kill(void)
{
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}

static void in_vfork(void)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		bug_segv();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
		_exit(6);
	bug_segv();
}

/* The program's own handler, installed after ours, wins. */
static void on_own(int sig)
{
	(void)sig;
	_exit(42);
}

static void own_handler(void)
{
	signal(SIGSEGV, on_own);
	bug_segv();
}

static void (*earlier)(int);

static void on_chained(int sig)
{
	earlier(sig);
}

/* An old-style handler that calls what it found there by its address, with no siginfo. */
static void chained_handler(void)
{
	earlier = signal(SIGSEGV, on_chained);
	bug_segv();
}

static const char *ticks_file;
static _Atomic int ticks[3];

static void *thread_tick(void *arg)
{
	int n = (int)(size_t)arg, fd = open(ticks_file, O_WRONLY | O_APPEND | O_CREAT, 0600);
	struct timespec pause_10ms = {0, 10000000};
	char line[] = "tick 0\n";

	line[5] += n;
	for (;;) {
		if (write(fd, line, sizeof(line) - 1) > 0)
			ticks[n]++;
		nanosleep(&pause_10ms, NULL);
	}
	return arg;
}

static void await_ticks(int each)
{
	while (ticks[0] < each || ticks[1] < each || ticks[2] < each)
		sched_yield();
}

/*
 * Three threads write a line every 10 ms; when each has, a fourth crashes. Should a person in a
 * debugger repair that, then the three have to go on.
 */
static void with_ticks(void)
{
	pthread_t id;

	for (size_t n = 0; n < 3; n++)
		pthread_create(&id, NULL, thread_tick, (void *)n);
	await_ticks(3);
	pthread_create(&id, NULL, thread_segv, NULL);
	pthread_join(id, NULL);
	await_ticks(ticks[0] + ticks[1] + ticks[2]);
	_exit(11);
}

static _Atomic bool setuid_runs = false;

static void *thread_setuid(void *arg)
{
	for (;;) {
		if (setuid(getuid()) == 0)
			setuid_runs = true;
	}
	return arg;
}

/* The signal that the freeze borrows is in full use. */
static void with_setuid(void)
{
	pthread_t id;

	pthread_create(&id, NULL, thread_setuid, NULL);
	pthread_create(&id, NULL, thread_setuid, NULL);
	while (!setuid_runs)
		sched_yield();
	bug_segv();
}

static sigjmp_buf back;
static int any_address;

static void on_recover(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

/* Does not crash: threads come and go, one by pthread_exit, and a handler of its own recovers. */
static void *thread_short(void *arg)
{
	stack_t now;

	if (getenv("TTYLOCK_HELPER") &&
	    (sigaltstack(NULL, &now) != 0 || (now.ss_flags & SS_DISABLE)))
		_exit(8);
	if (arg)
		pthread_exit(arg);
	return &any_address;
}

static void no_crash(void)
{
	pthread_attr_t attr;
	pthread_t id;
	void *result;

	for (size_t n = 0; n < 500; n++) {
		if (pthread_create(&id, NULL, thread_short, (void *)(n % 2)) != 0 ||
		    pthread_join(id, &result) != 0 ||
		    result != (n % 2 ? (void *)1 : (void *)&any_address))
			_exit(9);
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&id, &attr, thread_short, NULL) != 0 || pthread_join(id, NULL) != EINVAL)
		_exit(10);
	signal(SIGSEGV, on_recover);
	if (sigsetjmp(back, 1) == 0)
		bug_segv();
	exit(7);
}

static const struct mode {
	const char *name;
	void (*run)(void);
} modes[] = {
    {"segv", bug_segv},
    {"abort", bug_abort},
    {"fpe", bug_fpe},
    {"ill", bug_ill},
    {"bus", bug_bus},
    {"trap", bug_trap},
    {"raise-segv", bug_raise_segv},
    {"overflow", overflow},
    {"thread", segv_in_thread},
    {"thread-overflow", overflow_in_thread},
    {"leaderless", leaderless},
    {"heap", bug_heap},
    {"many", among_many},
    {"two", two_threads},
    {"handler", in_handler},
    {"setsid", in_session},
    {"no-stdin", without_stdin},
    {"no-descriptors", without_descriptors},
    {"sigchld", with_sigchld},
    {"wait", wait_for_kill},
    {"vfork", in_vfork},
    {"own", own_handler},
    {"chained", chained_handler},
    {"ticks", with_ticks},
    {"setuid", with_setuid},
    {"none", no_crash},
};

int main(int argc, char **argv)
{
	ticks_file = argc > 2 ? argv[2] : "/dev/null";
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(modes[i].name, argv[1]) == 0) {
			modes[i].run();
			return 0;
		}
	}
	fprintf(stderr, "usage: crash MODE [FILE], MODE one of:");
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		fprintf(stderr, " %s", modes[i].name);
	fprintf(stderr, "\n");
	return 64;
}
