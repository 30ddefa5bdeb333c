/*
 * Programs that link the library: breakpoint MODE [NUMBER]. The modes are the table at the end;
 * test_breakpoint.py says what each has to show. Lines that a test looks for in the debugger have a
 * comment "here: NAME".
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <ttylock.h>
#include <unistd.h>

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

static void *read_on(void *arg)
{
	char line[64];

	(void)arg;
	while (fgets(line, sizeof(line), stdin)) {
		printf("heard: %s", line);
		fflush(stdout);
	}
	return NULL;
}

/* Two breakpoints while its other thread is in a read of the terminal: the signal says so. */
static int beside_reader(void)
{
	pthread_t id;

	block_signals();
	pthread_create(&id, NULL, read_on, NULL);
	say("ready", getpid());
	await_signal();
	for (int round = 1; round <= 2; round++) {
		ttylock_breakpoint(); /* here: beside-reader */
		say("round", round);
	}
	pthread_join(id, NULL);
	return 6;
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

/* A trap that is blocked makes the kernel reset its handler. */
static int blocked_trap(void)
{
	struct sigaction own = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	struct sigaction after;
	sigset_t all, now;

	sigaction(SIGTRAP, &own, NULL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	ttylock_breakpoint();
	sigaction(SIGTRAP, NULL, &after);
	sigprocmask(SIG_SETMASK, NULL, &now);
	say("same handler", same_action(&own, &after));
	say("blocked", sigismember(&now, SIGTRAP));
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
    {"blocked-trap", blocked_trap},
    {"reaper", reaper},
    {"beside-reader", beside_reader},
};

int main(int argc, char **argv)
{
	number = argc > 2 ? atoi(argv[2]) : 0;
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++)
		if (strcmp(modes[i].name, argv[1]) == 0)
			return modes[i].run();
	fprintf(stderr, "usage: breakpoint MODE [NUMBER]\n");
	return 64;
}
