/* ttylock debug: the debugger for one process, when it is its turn.
 *
 * Started by hand, or by the process itself: by its crash handler, or at a
 * breakpoint of its own. Then it has the process's gate: a byte to it says that
 * the debugger comes, its end that none does (any more), and the process dies
 * as it would have, or goes on.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/deadline.h"
#include "../lib/foreground.h"
#include "../lib/procfs.h"
#include "../lib/terminal.h"
#include "agent.h"
#include "banner.h"
#include "command.h"
#include "debugger.h"
#include "options.h"
#include "session.h"
#include "tree.h"

/* How long a job takes to stop; a shell, to take the terminal then. */
#define STOP_MS	 1000
#define SHELL_MS 10000

struct job {
	pid_t pid;
	char comm[32];
	int crashed;		/* the signal; 0: it has not */
	const char *breakpoint; /* FILE:LINE[: TEXT]; NULL: it is at none */
	int thread;
	int gate; /* -1: none */
	char what[256];
	struct options options;
	struct turn turn;
};

static int complain_of(const struct job *j, const char *why)
{
	return complain(EXIT_FAILED, "no debugger for %s (pid %d): %s", j->comm, (int)j->pid, why);
}

/* --- who may -------------------------------------------------------------- */

static pid_t target_of(const struct job *j)
{
	return debugger_target(j->pid, j->thread);
}

static int refuse_attach(const struct job *j, int error)
{
	char why[128], tracer_comm[32];
	pid_t tracer = procfs_tracer(target_of(j));
	struct procfs_stat ps;

	if (tracer > 0) {
		procfs_comm(tracer, tracer_comm);
		snprintf(why, sizeof(why), "it is traced by %s (pid %d) already", tracer_comm,
		    (int)tracer);
	} else if (kill(j->pid, 0) < 0) {
		snprintf(why, sizeof(why), "%s",
		    errno == EPERM ? "it belongs to another user" : "no such process");
	} else if (procfs_stat(j->pid, &ps) == 0 && ps.state == 'Z') {
		snprintf(why, sizeof(why), "it has ended already");
	} else {
		snprintf(why, sizeof(why), "ptrace: %s (it is another user's, or forbids it)",
		    strerror(-error));
	}
	return complain_of(j, why);
}

/* While we wait for our turn, a process at a breakpoint of its own may be traced
 * for another thread's. */
static int check_process(const struct job *j, bool our_turn)
{
	int r = kill(j->pid, 0) < 0 ? -errno : debugger_may_attach(target_of(j));

	if (r == -EALREADY && j->breakpoint && !our_turn)
		return 0;
	return r < 0 ? refuse_attach(j, r) : 0;
}

static const char *reason_name(const struct job *j)
{
	return j->crashed ? "crash" : j->breakpoint ? "breakpoint" : "debug";
}

static enum ttylock_reason reason_code(const struct job *j)
{
	if (j->crashed)
		return TTYLOCK_CRASH;
	return j->breakpoint ? TTYLOCK_BREAKPOINT : TTYLOCK_COMMAND;
}

/* --- the turn ------------------------------------------------------------- */

/* A whole job stops, or its shell does not see it. Not whom a debugger would have to show
 * the signal. */
static int stop_one(pid_t pid, void *arg)
{
	(void)arg;
	if (procfs_tracer(pid) == 0)
		kill(pid, SIGTSTP);
	return 0;
}

static int continue_one(pid_t pid, void *arg)
{
	(void)arg;
	if (procfs_is_stopped(pid))
		kill(pid, SIGCONT);
	return 0;
}

/* Ctrl-Z in the debugger: the job of the tree's agent stops, so the shell above it takes
 * the terminal; when that gives it back to the tree, the debugger goes on. Where there is
 * no such shell the kernel does not stop the job. */
static bool suspend_tree(struct session *s)
{
	int tty = s->turn->lock->tty;
	pid_t agent = tree_agent(), front = tcgetpgrp(tty), group = getpgid(agent);
	int64_t deadline = deadline_in(STOP_MS), late = deadline_in(SHELL_MS);

	if (!agent || front <= 0 || group <= 0)
		return true;
	procfs_each_of_group(group, stop_one, NULL);
	while (tcgetpgrp(tty) == front && deadline_left(late) > 0 &&
	       (deadline_left(deadline) > 0 || procfs_is_stopped(agent)))
		poll(NULL, 0, 20);
	if (tcgetpgrp(tty) == front)
		procfs_each_of_group(group, continue_one, NULL);
	while (tcgetpgrp(tty) != front && tree_agent())
		poll(NULL, 0, 100);
	/* Not from a shell that knows of no job any more. */
	return !(tree_is_orphaned() && foreground_elsewhere(tty, s->turn->job));
}

static void close_gate(struct job *j)
{
	if (j->gate >= 0)
		close(j->gate);
	j->gate = -1;
}

static int debug_in_turn(struct job *j)
{
	struct debugger d;
	struct session s = {
	    .turn = &j->turn, .argv = (char *const *)d.argv, .suspended = suspend_tree};

	int r = debugger_init(&d, target_of(j), j->crashed, j->breakpoint != NULL);
	if (r < 0)
		return complain_of(j, strerror(-r));
	banner_print(j->turn.lock->tty, reason_name(j), j->pid, j->comm, j->what, j->turn.waiters);
	/* The process looks out for its tracer from now on. */
	if (j->gate >= 0 && write(j->gate, "A", 1) != 1)
		r = -EPIPE;
	/* It has its own readers of the terminal stand still now: the debugger is not to find
	 * them in a read. */
	else if (j->breakpoint)
		readers_await_none(j->pid, j->turn.lock->tty);
	/* The debugger holds those of its own process. */
	j->turn.handover.subject = j->pid;
	if (r == 0)
		r = session_run(&s);
	/* From now on it may crash again and ask for a debugger. */
	if (!j->breakpoint)
		close_gate(j);
	if (r < 0)
		fprintf(stderr, "ttylock: no debugger for %s (pid %d): %s: %s\n", j->comm,
		    (int)j->pid, d.name,
		    r == -ENOENT ? "not found: install it, or name another by TTYLOCK_DEBUGGER"
				 : strerror(-r));
	debugger_deinit(&d);
	return r < 0 ? EXIT_FAILED : exit_status_of(r);
}

/* The same user was told by the command that did it; many lines over a debugger's
 * screen, at "skip", tell that person nothing more. */
static bool is_own_doing(const char *by)
{
	char own[32];
	int n = snprintf(own, sizeof(own), ", uid %u", (unsigned)getuid());
	size_t len = strlen(by);

	return len > (size_t)n && strcmp(by + len - n, own) == 0;
}

static int explain(const struct job *j, int error)
{
	char why[128];

	switch (error) {
	case -EBUSY:
	case -ETIMEDOUT:
		return options_conflict(&j->options, error);
	case -ECANCELED:
		if (*j->turn.by && !j->turn.ended_by &&
		    !(j->gate >= 0 && is_own_doing(j->turn.by))) {
			snprintf(why, sizeof(why), "its request was cancelled by %s", j->turn.by);
			complain_of(j, why);
		}
		return EXIT_SIGNALLED + SIGINT;
	case -ESRCH:
		return j->gate >= 0 ? EXIT_FAILED
				    : complain_of(j, "it ended while it waited for its turn");
	case -ENXIO:
		return complain_of(
		    j, "its job is in the background and its 'ttylock run' has ended");
	case -ECONNRESET:
		return complain_of(j, "the daemon ended while it waited for its turn");
	default:
		return complain_of(j, turn_error(error));
	}
}

static int wait_and_debug(struct job *j)
{
	static const int list[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0};
	struct ttylock_wish wish = {
	    .reason = reason_code(j),
	    .text = j->options.why ? j->options.why : j->what,
	    .subject = j->pid,
	    .task_name = "debug",
	    .task_id = 1,
	    .nonblock = j->options.nonblock,
	};
	struct signals signals;

	int r = signals_open(&signals, list);
	if (r < 0)
		return complain_of(j, strerror(-r));
	j->turn.signals = &signals;
	/* By hand, it is the command's own job that the person has in front. */
	j->turn.job = tree_job_of(j->gate >= 0 ? j->pid : getpid());
	j->turn.subject = (int)syscall(SYS_pidfd_open, j->pid, 0);
	r = turn_take(&j->turn, &wish, j->options.timeout_ms);
	if (r < 0)
		return explain(j, r);
	/* Somebody else may have attached to it meanwhile. */
	int status = check_process(j, true);
	if (status == 0)
		status = debug_in_turn(j);
	turn_put_back(&j->turn);
	/* One that was at a breakpoint reads the terminal again from now on, while that is
	 * its own. */
	close_gate(j);
	turn_end(&j->turn);
	return status;
}

/* --- the command ---------------------------------------------------------- */

/* Our own stop signals must not take us out of the queue; not ignored but
 * caught, so that what we start has them as usual. */
static void no_stop(int sig)
{
	(void)sig;
}

static void prepare_signals(void)
{
	static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};
	struct sigaction sa = {.sa_handler = no_stop, .sa_flags = SA_RESTART};

	/* The crash handler starts us with all blocked. */
	signals_reset();
	for (size_t i = 0; i < sizeof(stops) / sizeof(*stops); i++)
		sigaction(stops[i], &sa, NULL);
}

/* The line that says why there is no debugger belongs where the person looks,
 * and the process's own standard error may be anything. */
static void complain_on(int tty)
{
	if (!isatty(2))
		dup2(tty, 2);
}

static int start(struct job *j, int argc, char *const *argv)
{
	procfs_comm(j->pid, j->comm);
	int tty = j->gate >= 0 ? terminal_open_of_tree() : terminal_open();
	/* What the debugger starts may outlive it. */
	if (j->gate >= 0)
		fcntl(j->gate, F_SETFD, FD_CLOEXEC);
	if (tty < 0)
		return complain_of(j, open_error(tty));
	if (j->gate >= 0)
		complain_on(tty);
	if (!terminal_is_controlling(tty) && j->gate >= 0 &&
	    agent_delegate(argc, argv, j->gate) == 0)
		return 0;
	int r = check_process(j, false);
	if (r)
		return r;
	r = ttylock_open(&j->turn.lock, tty, TTYLOCK_START);
	close(tty);
	if (r < 0)
		return complain_of(j, open_error(r));
	int status = wait_and_debug(j);
	ttylock_close(j->turn.lock);
	return status;
}

static void describe(struct job *j)
{
	char name[16];

	if (!j->crashed) {
		const char *why = j->options.why ? j->options.why : "by hand";
		snprintf(j->what, sizeof(j->what), "%s", j->breakpoint ? j->breakpoint : why);
		/* It goes to a terminal as it is. */
		for (char *p = j->what; *p; p++)
			if (iscntrl((unsigned char)*p))
				*p = '?';
		return;
	}
	signal_name(j->crashed, name);
	int n = snprintf(j->what, sizeof(j->what), "%s (%s)", name, strsignal(j->crashed));
	if (j->thread && j->thread != j->pid)
		snprintf(j->what + n, sizeof(j->what) - (size_t)n, " in thread %d", j->thread);
}

enum { OPT_CRASHED = 256, OPT_BREAKPOINT, OPT_THREAD, OPT_GATE };

/* Those that the process itself uses; they are not for people. */
static int take_private(struct job *j, const struct command *self, int opt)
{
	if (opt == OPT_BREAKPOINT) {
		j->breakpoint = optarg;
		return -1;
	}
	int *field = opt == OPT_CRASHED ? &j->crashed : opt == OPT_THREAD ? &j->thread : &j->gate;
	long n;

	if (parse_number(optarg, 0, INT32_MAX, &n) < 0)
		return complain_usage(self, "not a number: '%s'", optarg);
	*field = (int)n;
	return -1;
}

static int run_debug(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {OPTIONS_LONG,
	    {"crashed", required_argument, NULL, OPT_CRASHED},
	    {"breakpoint", required_argument, NULL, OPT_BREAKPOINT},
	    {"thread", required_argument, NULL, OPT_THREAD},
	    {"gate", required_argument, NULL, OPT_GATE}, {0}};
	struct job j = {.gate = -1, .options = OPTIONS_INIT};
	int opt, r;
	long pid;

	prepare_signals();
	/* A debugger that crashes must not ask for the terminal that it has. */
	unsetenv("TTYLOCK_HELPER");
	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT, longs, NULL)) != -1) {
		r = opt >= OPT_CRASHED ? take_private(&j, self, opt)
				       : options_take(&j.options, self, opt, argv);
		if (r >= 0)
			return r;
	}
	if (optind + 1 != argc)
		return complain_usage(
		    self, optind == argc ? "which process?" : "one process at a time");
	if (parse_number(argv[optind], 1, INT32_MAX, &pid) < 0)
		return complain_usage(self, "not a pid: '%s'", argv[optind]);
	j.pid = (pid_t)pid;
	describe(&j);

	/* The agent's run of this has its own gate number. */
	char errand[sizeof(j.what) + 16], thread[32];
	if (j.breakpoint)
		snprintf(errand, sizeof(errand), "--breakpoint=%s", j.breakpoint);
	else
		snprintf(errand, sizeof(errand), "--crashed=%d", j.crashed);
	snprintf(thread, sizeof(thread), "--thread=%d", j.thread);
	char *const again[] = {errand, thread, argv[optind]};
	return start(&j, 3, again);
}

const struct command command_debug = {
    .name = "debug",
    .arguments = "[OPTION]... PID",
    .summary = "Attach the debugger to PID when it is its turn at the terminal",
    .help = OPTIONS_HELP
    "\nThe debugger is gdb, or TTYLOCK_DEBUGGER: a command line for 'sh -c' in which %p\n"
    "is the pid and %e the executable.\n"
    "\nExit status: the debugger's own; 128+N when signal N ended it; 75, 124 as above;\n"
    "125 ttylock failed; 64 wrong command line.\n",
    .run = run_debug,
};
