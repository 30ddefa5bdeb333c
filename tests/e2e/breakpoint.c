/*
 * Programs that link the library: breakpoint MODE [NUMBER]. The modes are the table at the end;
 * test_breakpoint.py says what each has to show. Lines that a test looks for in the debugger have a
 * comment "here: NAME".
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ttylock.h>
#include <unistd.h>

static const char *self;
static int number;
static int *volatile nowhere;

static void say(const char *what, int value)
{
	printf("%s: %d\n", what, value);
	fflush(stdout);
}

static void report(const char *name, pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	say(name, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static int bug(void)
{
	int answer = 42;

	*nowhere = answer; /* here: bug */
	return answer;
}

/* --- breakpoints ---------------------------------------------------------- */

static int work(int round)
{
	int a = round;
	int b = a + 1;
	int c = b + 1;
	return a + b + c;
}

static int loop(void)
{
	int total = 0;

	for (int round = 1; round <= number; round++) {
		ttylock_breakpoint(); /* here: loop */
		total += work(round);
		total += 1;
		total += 2;
		say("round", round);
	}
	return total % 100;
}

static int once(void)
{
	int answer = 42;

	ttylock_breakpoint("the \033[31manswer"); /* here: once */
	answer++;				  /* here: after */
	return answer;
}

static int paused(void)
{
	for (int round = 1;; round++) {
		ttylock_breakpoint("for ever");
		say("passed", getpid());
	}
	return 0;
}

static int asserted(void)
{
	int wheels = 3;

	ttylock_assert(wheels > 0);
	ttylock_assert(wheels == 4); /* here: asserted */
	return 0;
}

static void *pause_in_thread(void *arg)
{
	pthread_barrier_wait(arg);
	ttylock_breakpoint("in a thread"); /* here: thread */
	return NULL;
}

static int threads(void)
{
	pthread_t id[3];
	pthread_barrier_t together;

	pthread_barrier_init(&together, NULL, 3);
	for (int n = 0; n < 3; n++)
		pthread_create(&id[n], NULL, pause_in_thread, &together);
	for (int n = 0; n < 3; n++)
		pthread_join(id[n], NULL);
	say("threads passed", 3);
	return 0;
}

/* --- led by signals: what is blocked here is read by await_signal() ------- */

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int await_signal(void)
{
	sigset_t set;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigwait(&set, &sig);
	return sig;
}

/* A thread waits for its turn when another one crashes. */
static int pause_and_crash(void)
{
	static pthread_barrier_t alone;
	pthread_t id;

	pthread_barrier_init(&alone, NULL, 1);
	if (ttylock_crash_handler_install() != 0)
		return 1;
	block_signals();
	pthread_create(&id, NULL, pause_in_thread, &alone);
	say("ready", getpid());
	await_signal();
	return bug();
}

/* NUMBER children that pause for ever, while their parent works: SIGUSR1 is work. */
static int daemons(void)
{
	pid_t pid[8];

	block_signals();
	for (int n = 0; n < number; n++) {
		pid[n] = fork();
		if (pid[n] == 0)
			exit(paused());
	}
	say("ready", getpid());
	for (int n = 1; await_signal() == SIGUSR1; n++)
		say("worked", n);
	for (int n = 0; n < number; n++)
		kill(pid[n], SIGKILL);
	return 9;
}

/* The parent fails while its child is at a breakpoint. */
static int parent_fails(void)
{
	int go[2];
	char byte;

	block_signals();
	if (pipe(go) < 0)
		return 1;
	if (fork() == 0) {
		close(go[0]);
		ttylock_breakpoint("in the child");
		say("child goes on", getpid());
		_exit(0);
	}
	close(go[1]);
	say("ready", getpid());
	await_signal();
	bug();
	return (int)read(go[0], &byte, 1);
}

/* The child's time is up while it may be under a person's hands: then it has more. */
static int deadline(void)
{
	struct timespec short_time = {.tv_nsec = 1000000};
	pid_t pid = fork();

	if (pid == 0) {
		ttylock_breakpoint("in the child");
		_exit(3);
	}
	while (ttylock_in_debug(pid) == 0)
		nanosleep(&short_time, NULL);
	say("in debug", ttylock_in_debug(pid));
	say("idle", ttylock_wait_idle(1) == 0);
	say("idle", ttylock_wait_idle(-1) == 0);
	say("in debug", ttylock_in_debug(pid));
	report("child", pid);
	return 0;
}

/* --- the host's own ------------------------------------------------------- */

static volatile sig_atomic_t traps, children;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	traps++;
}

static void on_child(int sig)
{
	(void)sig;
	children++;
}

static int same_action(const struct sigaction *a, const struct sigaction *b)
{
	const int libcs_own = 0x04000000; /* SA_RESTORER: set by any sigaction(3) */

	return a->sa_sigaction == b->sa_sigaction &&
	       (a->sa_flags | libcs_own) == (b->sa_flags | libcs_own) &&
	       memcmp(&a->sa_mask, &b->sa_mask, 8) == 0;
}

static int own_trap_handler(void)
{
	struct sigaction own = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct sigaction before, after;

	sigaddset(&own.sa_mask, SIGUSR1);
	sigaction(SIGTRAP, &own, NULL);
	sigaction(SIGTRAP, NULL, &before);
	ttylock_breakpoint();
	sigaction(SIGTRAP, NULL, &after);
	say("same handler", same_action(&before, &after));
	say("traps", traps);
	raise(SIGTRAP);
	say("traps", traps);
	return 0;
}

static void *reap(void *arg)
{
	pid_t *reaped = arg;
	int status;

	*reaped = wait(&status);
	while (wait(&status) > 0)
		*reaped = -1;
	return NULL;
}

/* Sees its own child end, and nobody else. */
static int reaper(void)
{
	pid_t pid, reaped = 0;
	pthread_t id;

	signal(SIGCHLD, on_child);
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	pthread_create(&id, NULL, reap, &reaped);
	ttylock_breakpoint();
	say("signals", children);
	kill(pid, SIGKILL);
	pthread_join(id, NULL);
	say("reaped my own", reaped == pid);
	say("signals", children);
	return 0;
}

/* --- crash handlers ------------------------------------------------------- */

static int crash(void)
{
	say("install", ttylock_crash_handler_install());
	say("again", ttylock_crash_handler_install());
	return bug();
}

static int overflow(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

static void *overflow_in_thread(void *arg)
{
	say("thread", ttylock_crash_handler_thread());
	overflow(0);
	return arg;
}

static int thread_overflow(void)
{
	pthread_t id;

	ttylock_crash_handler_install();
	pthread_create(&id, NULL, overflow_in_thread, NULL);
	pthread_join(id, NULL);
	return 0;
}

static void *thread_short(void *arg)
{
	if (ttylock_crash_handler_thread() != 0)
		_exit(2);
	return arg;
}

static int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int lines = 0;

	for (int c; (c = getc(maps)) != EOF;)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

static int threads_leave_nothing(void)
{
	int first = 0;

	for (int n = 0; n < 200; n++) {
		pthread_t id;
		pthread_create(&id, NULL, thread_short, NULL);
		pthread_join(id, NULL);
		if (n == 100)
			first = mappings();
	}
	say("more mappings", mappings() - first);
	return 0;
}

/* malloc finds its top chunk smashed and aborts with its lock held. */
static int heap(void)
{
	size_t size = 24, *chunk = malloc(size);

	ttylock_crash_handler_install();
	for (int i = 0; i < 64; i++)
		chunk[i] = ~(size_t)7;
	free(malloc(1 << 20));
	chunk = malloc(100000);
	free(chunk);
	return 3;
}

/* On and off again: the six handlers are what they were. */
static int on_and_off(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
	struct sigaction own = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	struct sigaction before[6], after;
	int same = 0, ours = 0;

	sigaction(SIGFPE, &own, NULL);
	signal(SIGILL, SIG_IGN);
	ttylock_crash_handler_set(false);
	for (int i = 0; i < 6; i++)
		sigaction(signals[i], NULL, &before[i]);
	say("on", ttylock_crash_handler_set(true));
	for (int i = 0; i < 6; i++) {
		sigaction(signals[i], NULL, &after);
		ours += !same_action(&before[i], &after);
	}
	say("ours", ours);
	say("off", ttylock_crash_handler_set(false));
	for (int i = 0; i < 6; i++) {
		sigaction(signals[i], NULL, &after);
		same += same_action(&before[i], &after);
	}
	say("same", same);
	return bug();
}

static pid_t crash_in_child(const char *name, int by_exec)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (by_exec)
			execl(self, name, "bug", NULL);
		exit(bug());
	}
	return pid;
}

/* One after the other: off by fork, off by exec, on by fork, on by exec. */
static int scoped(void)
{
	for (int on = 0; on <= 1; on++) {
		ttylock_crash_handler_set(on);
		report(on ? "on, fork" : "off, fork", crash_in_child("on", 0));
		report(on ? "on, exec" : "off, exec", crash_in_child("on", 1));
	}
	return 5;
}

/* --- nothing of ours ------------------------------------------------------ */

static int count(const char *directory)
{
	DIR *d = opendir(directory);
	int n = -3; /* ".", ".." and what opendir() opened */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Links the library and does not call it: what is there of it. */
static int idle(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), status))
		if (strncmp(line, "Sig", 3) == 0 || strncmp(line, "Shd", 3) == 0 ||
		    strncmp(line, "Threads", 7) == 0)
			fputs(line, stdout);
	fclose(status);
	say("descriptors", count("/proc/self/fd"));
	say("threads", count("/proc/self/task") + 1);
	return 0;
}

static const struct mode {
	const char *name;
	int (*run)(void);
} modes[] = {
    {"loop", loop},
    {"once", once},
    {"assert", asserted},
    {"threads", threads},
    {"pause-and-crash", pause_and_crash},
    {"daemons", daemons},
    {"parent-fails", parent_fails},
    {"deadline", deadline},
    {"own-trap-handler", own_trap_handler},
    {"reaper", reaper},
    {"bug", bug},
    {"crash", crash},
    {"thread-overflow", thread_overflow},
    {"threads-leave-nothing", threads_leave_nothing},
    {"heap", heap},
    {"on-and-off", on_and_off},
    {"scoped", scoped},
    {"idle", idle},
};

int main(int argc, char **argv)
{
	self = "/proc/self/exe";
	number = argc > 2 ? atoi(argv[2]) : 0;
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++)
		if (strcmp(modes[i].name, argv[1]) == 0)
			return modes[i].run();
	fprintf(stderr, "usage: breakpoint MODE [NUMBER]\n");
	return 64;
}
