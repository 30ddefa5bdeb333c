/* ttylock run: a tree of processes whose crashes get the debugger here.
 *
 * Starts the command with crash handling in its environment, stays out of the
 * way (same process group: Ctrl-C, Ctrl-Z and full-screen programs are as
 * without it), and ends when the command has ended and nobody of the tree
 * holds or waits for the terminal any more. Meanwhile it is the tree's agent.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../lib/foreground.h"
#include "../lib/handover.h"
#include "../lib/lock.h"
#include "../lib/procfs.h"
#include "../lib/terminal.h"
#include "agent.h"
#include "command.h"
#include "hang.h"
#include "options.h"
#include "preload.h"
#include "reporter.h"
#include "signals.h"

struct run {
	char **argv;
	int tty;	      /* -1: none, and then no crash handling */
	struct ttylock *lock; /* NULL: no crash handling */
	struct signals signals;
	struct event_base *base;
	struct event *on_signal, *on_agent, *on_lock;
	char agent_path[108];
	int agent; /* its socket; -1 */
	uint64_t tree;
	pid_t child;	  /* 0: it has ended */
	pid_t group;	  /* the command's own process group; 0: it is in ours */
	int status;	  /* what to exit with then */
	bool holder_died; /* and nobody has looked after the terminal since */
	bool has_modes;
	bool unsettled;	      /* the command could not put the line settings back itself */
	struct termios modes; /* as they were at the start */
	pid_t dumper;	      /* a stack dump of the tree that is being made; 0 */
	long hang_s;	      /* --dump-on-hang; 0: not asked for */
	struct hang hang;
};

static void watch_lock(struct run *run);
static void mend_terminal(struct run *run);
static void take_back_foreground(const struct run *run);
static void put_back_modes(const struct run *run);

/* --- the tree's environment ----------------------------------------------- */

static void set_environment(struct run *run)
{
	char path[64], tree[32], pid[16];

	if (getrandom(&run->tree, sizeof(run->tree), 0) != sizeof(run->tree) || !run->tree)
		run->tree = (uint64_t)getpid();
	snprintf(tree, sizeof(tree), "%" PRIx64, run->tree);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("TTYLOCK_TREE", tree, 1);
	setenv("TTYLOCK_AGENT_PID", pid, 1);
	setenv("TTYLOCK_SOCKET", run->lock->link->socket, 1);
	if (terminal_path(run->tty, path, sizeof(path)) == 0)
		setenv("TTYLOCK_TTY", path, 1);
	run->agent = agent_listen(run->lock->link->socket, run->agent_path);
	if (run->agent >= 0)
		setenv("TTYLOCK_AGENT", run->agent_path, 1);
}

/* Without it the command runs all the same: never worse than without us. */
static void prepare_crash_handling(struct run *run)
{
	int r = run->tty = terminal_open();

	if (r >= 0)
		r = ttylock_open(&run->lock, run->tty, TTYLOCK_START | LINK_EAGER);
	if (r < 0) {
		complain(0, "running without crash handling: %s", open_error(r));
		return;
	}
	run->has_modes = tcgetattr(run->tty, &run->modes) == 0;
	set_environment(run);
	watch_lock(run);
}

/* --- the command ---------------------------------------------------------- */

/* Where no shell does job control above us, we do the part of it that a tree
 * needs: in a group that is looked after, who reads the terminal while somebody
 * else has it is stopped; in an orphaned one its read fails. */
static bool needs_group(const struct run *run)
{
	return run->lock && terminal_is_controlling(run->tty) && tcgetpgrp(run->tty) == getpgrp() &&
	       foreground_is_orphaned();
}

static void become(struct run *run, int report)
{
	if (run->group) {
		setpgid(0, 0);
		foreground_set(run->tty, getpid());
	}
	if (run->lock) {
		int r = preload_setenv();
		if (r < 0)
			complain(0, "running without crash handling: libttylock-preload.so: %s",
			    r == -EINVAL ? "its path holds a space or a colon" : strerror(-r));
	}
	signals_restore(&run->signals);
	execvp(run->argv[0], run->argv);
	int error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

/* 0, or the status to exit with. */
static int start_command(struct run *run)
{
	int report[2], error = 0;

	if (pipe2(report, O_CLOEXEC) < 0)
		return complain(EXIT_FAILED, "pipe: %s", strerror(errno));
	run->group = needs_group(run);
	run->child = fork();
	if (run->child == 0)
		become(run, report[1]);
	if (run->child > 0 && run->group)
		run->group = run->child;
	close(report[1]);
	if (run->child < 0)
		error = complain(EXIT_FAILED, "fork: %s", strerror(errno));
	else if (read(report[0], &error, sizeof(error)) == sizeof(error)) {
		waitpid(run->child, NULL, 0);
		error = complain(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC, "%s: %s",
		    run->argv[0], strerror(error));
	}
	close(report[0]);
	return error;
}

/* --- the end -------------------------------------------------------------- */

static int is_of_tree(const struct ttylock_entry *entry, void *arg)
{
	const struct run *run = arg;

	return entry->tree == run->tree;
}

/* Leaves the loop when the command has ended and nobody below is at the
 * terminal or waits for it: the shell above must not have it before. */
static void end_if_idle(struct run *run)
{
	if (run->child || run->dumper)
		return;
	/* The next daemon is to be heard before: who has died meanwhile, and left the
	 * terminal as it was? */
	if (run->lock && ttylock_fd(run->lock) >= 0 && !link_is_up(run->lock->link))
		return;
	if (run->lock && ttylock_list(run->lock, 2000, is_of_tree, run) > 0) {
		/* Whoever has it puts back what was there while the command lived. */
		run->unsettled = true;
		return;
	}
	/* News of a holder's death is older than that list, but not read yet. */
	if (run->lock && ttylock_dispatch(run->lock, 0) >= 0 && run->holder_died)
		mend_terminal(run);
	take_back_foreground(run);
	put_back_modes(run);
	event_base_loopbreak(run->base);
}

/* --- stack dumps ---------------------------------------------------------- */

/* What comes while one is being made is one with it. */
static void dump_tree(struct run *run, const char *why)
{
	if (!run->dumper)
		run->dumper = reporter_start(why);
}

struct holders {
	const struct run *run;
	char terminal[64];
};

static int is_at_terminal(const struct ttylock_entry *entry, void *arg)
{
	const struct holders *h = arg;

	return entry->tree == h->run->tree || !strcmp(entry->terminal, h->terminal);
}

/* Nobody's screen is to be written over who is in the debugger; nor is a tree
 * that waits for that person a tree that hangs. */
static bool on_hang(void *arg)
{
	struct run *run = arg;
	struct holders h = {.run = run};
	char why[64];

	if (run->lock && (terminal_path(run->tty, h.terminal, sizeof(h.terminal)) < 0 ||
			     ttylock_list(run->lock, 2000, is_at_terminal, &h) != 0))
		return false;
	snprintf(why, sizeof(why), "no output and no end of a process for %ld s", run->hang_s);
	dump_tree(run, why);
	return true;
}

/* --- signals -------------------------------------------------------------- */

/* Whether somebody's debugger is in front, which is why our child is stopped. */
static bool is_debugger_in_front(const struct run *run)
{
	pid_t group = run->tty >= 0 ? tcgetpgrp(run->tty) : -1;

	return run->lock && group > 0 && group != getpgrp() && group != run->group &&
	       !foreground_elsewhere(run->tty, getpid());
}

static int is_anybody(pid_t pid, void *arg)
{
	(void)pid, (void)arg;
	return 1;
}

/* Who was in front has been killed. Who comes next may be one of the child's
 * group, and can mend the terminal only if it runs. */
static bool is_nobody_in_front(const struct run *run)
{
	pid_t group = tcgetpgrp(run->tty);

	return group > 0 && procfs_each_of_group(group, is_anybody, NULL) == 0;
}

/* Whether the child's stop is one for the shell above. One for being in the
 * background is not while somebody has the terminal, who continues the child
 * before releasing that: so if nobody has it, and the child is stopped after
 * that, it is. */
static bool is_stop_ours(const struct run *run, int sig)
{
	struct holders h = {.run = run};

	if (sig != SIGTTIN && sig != SIGTTOU)
		return true;
	if (run->lock && terminal_path(run->tty, h.terminal, sizeof(h.terminal)) == 0 &&
	    ttylock_list(run->lock, 2000, is_at_terminal, &h) > 0)
		return false;
	return procfs_is_stopped(run->child);
}

/* The command is gone: the foreground is ours again, unless a debugger has it. */
static void take_back_foreground(const struct run *run)
{
	if (run->group && tcgetpgrp(run->tty) == run->group)
		foreground_set(run->tty, getpgrp());
}

/* As a shell does for a job that a signal has ended, which it does not learn of us. */
static void put_back_modes(const struct run *run)
{
	if (run->unsettled && run->has_modes && tcgetpgrp(run->tty) == getpgrp())
		terminal_set_modes(run->tty, &run->modes);
}

/* continued: SIGCONT has come since the child stopped, if it did. */
static void reap(struct run *run, bool continued)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid == run->dumper && !WIFSTOPPED(status))
			run->dumper = 0;
		if (pid != run->child)
			continue; /* a `ttylock debug` that ran in our session */
		if (!WIFSTOPPED(status)) {
			run->child = 0;
			run->status = exit_status_of(status);
			run->unsettled |= WIFSIGNALED(status);
			take_back_foreground(run);
		} else if (run->group) {
			/* Nobody above could continue it: as the kernel does not stop
			 * an orphaned group for a key, nor do we. */
			if (WSTOPSIG(status) != SIGSTOP &&
			    (!is_debugger_in_front(run) || is_nobody_in_front(run)))
				kill(-run->group, SIGCONT);
		} else if (!continued && !is_debugger_in_front(run) &&
			   is_stop_ours(run, WSTOPSIG(status))) {
			/* The shell that waits for us must see the job stopped;
			 * it continues us, and SIGCONT is passed on. */
			kill(getpid(), SIGSTOP);
		}
	}
}

/* Only if our SIGCONT was for us alone: a shell sends it to the whole job, and
 * an editor takes a second one for another stop. */
static void continue_child(const struct run *run)
{
	struct procfs_stat ps;

	if (run->child && procfs_stat(run->child, &ps) == 0 && ps.state == 'T')
		kill(run->child, SIGCONT);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;
	struct signalfd_siginfo info;
	bool changed = false, continued = false;

	(void)fd, (void)what;
	while (signals_next(&run->signals, &info)) {
		int sig = (int)info.ssi_signo;
		if (sig == SIGCHLD)
			changed = true;
		else if (sig == SIGCONT)
			continued = true;
		else if (sig == SIGUSR1)
			dump_tree(run, "SIGUSR1");
		else if (run->child && signal_was_sent(&info))
			kill(run->child, sig); /* the terminal's keys have reached it already */
		else if (!run->child && (sig == SIGTERM || sig == SIGHUP))
			event_base_loopbreak(run->base);
	}
	if (changed)
		reap(run, continued);
	if (continued)
		continue_child(run);
	end_if_idle(run);
}

/* --- the lock ------------------------------------------------------------- */

/* A holder died and nobody may follow who would mend what it left behind. */
static void mend_terminal(struct run *run)
{
	struct ttylock_wish wish = {.text = "mending the terminal", .nonblock = true};
	ttylock_LockStatus granted;
	uint64_t id;

	run->holder_died = false;
	if (ttylock_acquire(run->lock, &wish, 2000, &id) < 0)
		return; /* the next holder does it */
	if (lock_last(run->lock, id, &granted) == 0 && granted.dirty) {
		handover_repair(run->tty, getpgrp(), granted.saved.bytes, granted.saved.size);
		lock_save(run->lock, id, granted.saved.bytes, 0);
	}
	ttylock_release(run->lock, id);
}

static void on_event(const ttylock_Event *event, void *arg)
{
	struct run *run = arg;
	char path[64];

	/* Who has died with the daemon, or before the next one was asked? */
	if (event->kind == ttylock_EventKind_EVENT_LOST) {
		run->holder_died = true;
		event_active(run->on_lock, EV_TIMEOUT, 0);
		return;
	}
	bool ended = event->kind == ttylock_EventKind_EVENT_DIED ||
		     (event->kind == ttylock_EventKind_EVENT_RELEASED && event->entry.under);
	if (ended && event->entry.position == 0 &&
	    terminal_path(run->tty, path, sizeof(path)) == 0 &&
	    !strcmp(path, event->entry.terminal)) {
		run->holder_died = true;
		event_active(run->on_lock, EV_TIMEOUT, 0);
	}
}

static void on_lock(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;

	(void)fd;
	if (what & EV_TIMEOUT) /* from on_event: not inside a dispatch */
		mend_terminal(run);
	if (ttylock_dispatch(run->lock, 0) == -ECONNRESET) {
		event_free(run->on_lock);
		run->on_lock = NULL;
		ttylock_close(run->lock);
		run->lock = NULL;
		if (ttylock_open(&run->lock, run->tty, TTYLOCK_START | LINK_EAGER) == 0)
			watch_lock(run);
	}
	end_if_idle(run);
}

static void watch_lock(struct run *run)
{
	run->on_lock =
	    event_new(run->base, ttylock_fd(run->lock), EV_READ | EV_PERSIST, on_lock, run);
	event_add(run->on_lock, NULL);
	lock_watch(run->lock, on_event, run);
}

static void on_agent(evutil_socket_t fd, short what, void *arg)
{
	(void)what, (void)arg;
	agent_serve(fd);
}

/* --- the command line ----------------------------------------------------- */

static int run_tree(struct run *run)
{
	prepare_crash_handling(run);
	run->on_signal =
	    event_new(run->base, run->signals.fd, EV_READ | EV_PERSIST, on_signal, run);
	event_add(run->on_signal, NULL);
	if (run->agent >= 0) {
		run->on_agent =
		    event_new(run->base, run->agent, EV_READ | EV_PERSIST, on_agent, run);
		event_add(run->on_agent, NULL);
	}
	run->status = start_command(run);
	if (run->status == 0 && run->hang_s &&
	    hang_watch(&run->hang, run->base, (int)run->hang_s, &run->dumper, on_hang, run) < 0)
		complain(0, "--dump-on-hang: %s", strerror(ENOMEM));
	if (run->status == 0)
		event_base_dispatch(run->base);
	hang_unwatch(&run->hang);
	if (run->agent >= 0) {
		unlink(run->agent_path);
		event_free(run->on_agent);
	}
	event_free(run->on_signal);
	if (run->on_lock)
		event_free(run->on_lock);
	ttylock_close(run->lock);
	return run->status;
}

static int run_run(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"help", no_argument, NULL, 'h'}, {"dump-on-hang", required_argument, NULL, 'H'}, {0}};
	/* TTIN and TTOU: what stops the tree must not stop its agent. */
	static const int list[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2,
	    SIGALRM, SIGCONT, SIGTTIN, SIGTTOU, 0};
	struct run run = {.tty = -1, .agent = -1};
	int opt;

	while ((opt = getopt_long(argc, argv, "+:h", longs, NULL)) != -1) {
		if (opt == 'h')
			return print_help(self);
		if (opt == ':')
			return complain_usage(self, "'%s' wants a value", argv[optind - 1]);
		if (opt != 'H')
			return complain_option(self, argv);
		if (parse_number(optarg, 1, HANG_MAX_S, &run.hang_s) < 0)
			return complain_usage(self,
			    "--dump-on-hang takes 1 to %d seconds, not '%s'", HANG_MAX_S, optarg);
	}
	if (optind == argc)
		return complain_usage(self, "which command?");
	run.argv = argv + optind;
	run.base = event_base_new();
	int r = run.base ? signals_open(&run.signals, list) : -ENOMEM;
	if (r < 0)
		return complain(EXIT_FAILED, "%s", strerror(-r));
	int status = run_tree(&run);
	event_base_free(run.base);
	return status;
}

const struct command command_run = {
    .name = "run",
    .arguments = "[OPTION]... [--] COMMAND [ARGUMENT]...",
    .summary = "Run COMMAND; every crash below it gets the debugger on this terminal, in turn",
    .help =
	"Every process below COMMAND that ends by SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT or\n"
	"SIGTRAP waits for its turn at the terminal; then gdb shows it at the fault. When you\n"
	"leave gdb it ends as it would have. TTYLOCK_CRASH=off in the environment of a part of\n"
	"the tree leaves that part out; TTYLOCK_DEBUGGER is another debugger (see debug "
	"--help).\n\n"
	"      --dump-on-hang SECS   dump all stacks when for so long nobody below has written\n"
	"                            anything, begun or ended, and nobody is in the debugger\n"
	"\nOn SIGUSR1 it dumps the stacks of the whole tree, to the terminal and into\n"
	"stack-PID.txt beside the daemon's socket; its processes dump their own, unless they\n"
	"have a handler of theirs or TTYLOCK_STACK_DUMP=off. See dump --help.\n"
	"\nExit status: COMMAND's own; 128+N when signal N ended it; 125 ttylock failed;\n"
	"126 cannot execute; 127 not found; 64 wrong command line.\n",
    .run = run_run,
};
