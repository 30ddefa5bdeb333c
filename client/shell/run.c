/* ttylock run: a tree of processes whose crashes get the debugger here.
 *
 * Starts the command with crash handling in its environment, stays out of the
 * way (same process group: Ctrl-C, Ctrl-Z and full-screen programs are as
 * without it), and ends when the command has ended and nobody of the tree
 * holds or waits for the terminal any more. Meanwhile it is the tree's agent.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/terminal.h"
#include "agent.h"
#include "tree_root.h"
#include "command.h"
#include "hang.h"
#include "options.h"
#include "reporter.h"
#include "signals.h"
#include "upkeep.h"

struct run {
	struct upkeep upkeep;
	struct tree_root root;
	struct signals signals;
	struct event_base *base;
	struct event *on_signal, *on_agent;
	char agent_path[108];
	int agent;    /* its socket; -1 */
	pid_t dumper; /* a stack dump of the tree that is being made; 0 */
	long hang_s;  /* --dump-on-hang; 0: not asked for */
	struct hang hang;
};

/* --- the end -------------------------------------------------------------- */

/* Leaves the loop when the command has ended and nobody below is at the
 * terminal or waits for it: the shell above must not have it before. */
static void end_if_idle(struct run *run)
{
	if (run->root.pid || run->dumper)
		return;
	/* The next daemon is to be heard before: who has died meanwhile, and left the
	 * terminal as it was? */
	if (upkeep_is_cut_off(&run->upkeep))
		return;
	if (upkeep_of_tree(&run->upkeep) > 0) {
		/* Whoever has it puts back what was there while the command lived. */
		run->upkeep.unsettled = true;
		return;
	}
	upkeep_catch_up(&run->upkeep);
	tree_root_take_back_foreground(&run->root);
	upkeep_put_back_modes(&run->upkeep);
	event_base_loopbreak(run->base);
}

static void on_news(void *arg)
{
	struct run *run = arg;

	tree_root_look_now(&run->root);
	end_if_idle(run);
}

/* --- the tree's environment ----------------------------------------------- */

static void set_environment(struct run *run)
{
	const struct upkeep *u = &run->upkeep;
	char path[64], tree[32], pid[16];

	snprintf(tree, sizeof(tree), "%" PRIx64, u->tree);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("TTYLOCK_TREE", tree, 1);
	setenv("TTYLOCK_AGENT_PID", pid, 1);
	setenv("TTYLOCK_SOCKET", u->lock->link->socket, 1);
	if (terminal_path(u->tty, path, sizeof(path)) == 0)
		setenv("TTYLOCK_TTY", path, 1);
	run->agent = agent_listen(u->lock->link->socket, run->agent_path);
	if (run->agent >= 0)
		setenv("TTYLOCK_AGENT", run->agent_path, 1);
}

/* Without it the command runs all the same: never worse than without us. */
static void prepare_crash_handling(struct run *run)
{
	int r = upkeep_open(&run->upkeep);

	if (r < 0) {
		complain(0, "running without crash handling: %s", open_error(r));
		return;
	}
	set_environment(run);
	upkeep_watch(&run->upkeep, run->base, on_news, run);
}

/* --- stack dumps ---------------------------------------------------------- */

/* What comes while one is being made is one with it. */
static void dump_tree(struct run *run, const char *why)
{
	if (!run->dumper)
		run->dumper = reporter_start(why);
}

/* Nobody's screen is to be written over who is in the debugger; nor is a tree
 * that waits for that person a tree that hangs. */
static bool on_hang(void *arg)
{
	struct run *run = arg;
	char why[64];

	if (upkeep_at_terminal(&run->upkeep) != 0)
		return false;
	snprintf(why, sizeof(why), "no output and no end of a process for %ld s", run->hang_s);
	dump_tree(run, why);
	return true;
}

/* --- signals -------------------------------------------------------------- */

/* continued: SIGCONT has come since the child stopped, if it did. */
static void reap(struct run *run, bool continued)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid == run->dumper && !WIFSTOPPED(status))
			run->dumper = 0;
		if (pid != run->root.pid)
			continue; /* a `ttylock debug` that ran in our session */
		tree_root_changed(&run->root, status, continued);
		run->upkeep.unsettled |= run->root.killed;
	}
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
		else if (run->root.pid && signal_was_sent(&info))
			kill(run->root.pid, sig); /* the terminal's keys have reached it already */
		else if (!run->root.pid && (sig == SIGTERM || sig == SIGHUP))
			event_base_loopbreak(run->base);
	}
	if (changed)
		reap(run, continued);
	if (continued)
		tree_root_continue(&run->root);
	end_if_idle(run);
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
	int status = tree_root_start(&run->root, &run->signals);
	if (status == 0 && run->hang_s &&
	    hang_watch(&run->hang, run->base, (int)run->hang_s, &run->dumper, on_hang, run) < 0)
		complain(0, "--dump-on-hang: %s", strerror(ENOMEM));
	if (status == 0) {
		event_base_dispatch(run->base);
		status = run->root.status;
	}
	hang_unwatch(&run->hang);
	if (run->agent >= 0) {
		unlink(run->agent_path);
		event_free(run->on_agent);
	}
	event_free(run->on_signal);
	tree_root_deinit(&run->root);
	upkeep_close(&run->upkeep);
	return status;
}

static int run_run(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"help", no_argument, NULL, 'h'}, {"dump-on-hang", required_argument, NULL, 'H'}, {0}};
	/* TTIN and TTOU: what stops the tree must not stop its agent. */
	static const int list[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2,
	    SIGALRM, SIGCONT, SIGTTIN, SIGTTOU, 0};
	struct run run = {.upkeep.tty = -1, .root.upkeep = &run.upkeep, .agent = -1};
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
	run.root.argv = argv + optind;
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
