/* Acts that crash, or ask for a debugger: what runs then, in a process that may be
 * ruined. Whatever fails, the end is the one that it would be without us. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#include "../../client/lib/input.h"
#include "acts_inside.h"
#include "twist.h"

static int *volatile nowhere;

/* Who comes is the driver itself, run as a debugger. */
static void expect(const char *how, int sessions, int ends_by)
{
	char line[64];

	snprintf(line, sizeof(line), "/proc/%d/exe --debug %s %%p", (int)getppid(), how);
	setenv("TTYLOCK_DEBUGGER", line, 1);
	acts_report->sessions = sessions;
	acts_report->may_end_by[ends_by] = true;
	acts_report->has_helpers = true;
}

static void installed(void)
{
	for (int i = 0; i < TRIES; i++)
		if (CALL(ttylock_crash_handler_install) == 0)
			return;
	acts_fault("no handler can be installed a second time");
}

/* Without an end by it nothing more is to be seen. */
static void crash(void)
{
	inject_arm();
	*nowhere = 42;
}

static void strike(int sig)
{
	inject_arm();
	raise(sig);
	inject_disarm();
}

static void act_crash(void)
{
	expect("pass", 1, SIGSEGV);
	installed();
	crash();
}

/* By the time it crashes it is to end: no debugger. */
static void act_asked_to_end(void)
{
	sigset_t term;

	expect("pass", 0, SIGSEGV);
	installed();
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	raise(SIGTERM);
	crash();
}

static bool has_handler(int sig)
{
	struct sigaction now;

	return sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_DFL;
}

/* The debugger lets it go on, twice, and a third crash ends it. */
static void act_mended(void)
{
	expect("mend", 3, SIGSEGV);
	installed();
	for (int i = 0; i < 2; i++) {
		inject_arm();
		raise(SIGSEGV);
		for (int ms = inject_is_ordered() ? 480 : 0; ms < 500 && !has_handler(SIGSEGV);
		     ms++)
			usleep(1000);
		inject_disarm();
	}
	crash();
}

static sigjmp_buf back;

static void on_crash(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

/* A program that outlives its crashes by a handler of its own. */
static void act_outlived(void)
{
	struct sigaction mine = {.sa_handler = on_crash};

	expect("pass", 2, SIGSEGV);
	sigaction(SIGSEGV, &mine, NULL);
	installed();
	for (int i = 0; i < 2; i++)
		if (sigsetjmp(back, 1) == 0)
			crash();
	inject_disarm();
}

static volatile sig_atomic_t goes_on;

static void *idle(void *arg)
{
	ttylock_crash_handler_thread();
	while (!goes_on)
		usleep(1000);
	return arg;
}

static void *strike_thread(void *arg)
{
	ttylock_crash_handler_thread();
	raise(*(int *)arg);
	return arg;
}

/* Two crash, and two more stand still meanwhile. */
static void act_threads(void)
{
	pthread_t id[4];
	int sig[] = {SIGSEGV, SIGABRT};

	expect("mend", 2, SIGSEGV);
	acts_report->may_end_by[SIGABRT] = true;
	installed();
	inject_arm();
	goes_on = 0;
	for (int i = 0; i < 4; i++)
		if (!acts_begin(&id[i], i < 2 ? idle : strike_thread, i < 2 ? NULL : &sig[i - 2]))
			return;
	for (int i = 2; i < 4; i++)
		pthread_join(id[i], NULL);
	goes_on = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(id[i], NULL);
	inject_disarm();
}

/* A child that has our memory crashes as well. */
static void act_vfork(void)
{
	expect("mend", 2, SIGSEGV);
	installed();
	inject_arm();
	pid_t pid = vfork();
	if (pid == 0) {
		raise(SIGSEGV);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	raise(SIGSEGV);
	inject_disarm();
}

static void act_breakpoint(void)
{
	expect("mend", 2, SIGTRAP);
	inject_arm();
	ttylock_breakpoint();
	ttylock_breakpoint("a second one");
	inject_disarm();
}

static void note_read(pid_t pid, pid_t thread, enum input input, void *arg)
{
	(void)pid, (void)thread;
	*(bool *)arg |= input == INPUT_READ;
}

static void *read_terminal(void *arg)
{
	char byte;

	while (read(stage->tty, &byte, 1) < 0)
		;
	return arg;
}

/* Another thread reads the terminal that the debugger has. */
static void act_reading(void)
{
	bool reads = false;
	pthread_t id;

	expect("mend", 1, SIGTRAP);
	if (pthread_create(&id, NULL, read_terminal, NULL) != 0)
		acts_fault("no thread can be begun");
	for (int i = 0; i < 1000 && !reads; i++) {
		input_each(getpid(), stage->tty, note_read, &reads);
		usleep(1000);
	}
	if (!reads)
		acts_fault("a thread does not read");
	inject_arm();
	ttylock_breakpoint();
	inject_disarm();
}

/* A trap that is nobody's, while a breakpoint is on. */
static void act_trap(void)
{
	expect("mend", 1, SIGTRAP);
	inject_arm();
	if (ttylock_breakpoint_begin(__FILE__, __LINE__, "left early")) {
		raise(SIGTRAP); /* for which the debugger has come */
		raise(SIGTRAP);
		ttylock_breakpoint_end();
	}
	raise(SIGTRAP);
}

/* The debugger of the first stays. */
static void act_traced(void)
{
	expect("stay", 1, SIGTRAP);
	inject_arm();
	for (int i = 0; i < 3; i++)
		ttylock_breakpoint();
	inject_disarm();
}

static void act_assert(void)
{
	expect("mend", 1, SIGABRT);
	installed();
	inject_arm();
	ttylock_assert(stage->tty < 0);
}

static void act_dump(void)
{
	acts_report->has_helpers = true;
	for (int i = 0; i < TRIES && !has_handler(SIGUSR1); i++)
		CALL(ttylock_stack_dump_install);
	for (int i = 0; i < 2; i++)
		strike(SIGUSR1);
}

/* Nobody may look at another process without its leave. */
static void act_yama(void)
{
	twist_yama();
	act_dump();
}

const struct act acts_of_crashes[] = {
    {"crash", act_crash, false},
    {"asked-to-end", act_asked_to_end, false},
    {"mended", act_mended, true},
    {"outlived", act_outlived, true},
    {"threads", act_threads, true},
    {"vfork", act_vfork, true},
    {"breakpoint", act_breakpoint, true},
    {"reading", act_reading, true},
    {"trap", act_trap, true},
    {"traced", act_traced, true},
    {"assert", act_assert, true},
    {"dump", act_dump, true},
    {"yama", act_yama, true},
    {NULL, NULL, false},
};
