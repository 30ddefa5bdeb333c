#include "tree_root.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/time.h>
#include <unistd.h>

#include "../lib/foreground.h"
#include "../lib/procfs.h"
#include "../lib/terminal.h"
#include "command.h"
#include "options.h"
#include "preload.h"
#include "reach.h"

/* Between two looks at a child that is stopped. */
#define LOOK_MS	    100
#define LOOK_MS_MAX 1600

/* --- its start ------------------------------------------------------------ */

/* Where no shell does job control above us, we do the part of it that a tree
 * needs: in a group that is looked after, who reads the terminal while somebody
 * else has it is stopped; in an orphaned one its read fails. */
static bool needs_group(const struct upkeep *u)
{
	return u->lock && terminal_is_controlling(u->tty) && tcgetpgrp(u->tty) == getpgrp() &&
	       foreground_is_orphaned();
}

static void become(const struct tree_root *root, const struct signals *signals, int report)
{
	if (root->group) {
		setpgid(0, 0);
		foreground_set(root->upkeep->tty, getpid());
	}
	if (root->upkeep->lock) {
		int r = preload_setenv();
		if (r < 0)
			complain(0, "running without crash handling: libttylock-preload.so: %s",
			    r == -EINVAL ? "its path holds a space or a colon" : strerror(-r));
	}
	signals_restore(signals);
	execvp(root->argv[0], root->argv);
	int error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

int tree_root_start(struct tree_root *root, const struct signals *signals)
{
	int report[2], error = 0;

	if (pipe2(report, O_CLOEXEC) < 0)
		return complain(EXIT_FAILED, "pipe: %s", strerror(errno));
	root->group = needs_group(root->upkeep);
	root->pid = fork();
	if (root->pid == 0)
		become(root, signals, report[1]);
	if (root->pid > 0 && root->group)
		root->group = root->pid;
	close(report[1]);
	if (root->pid < 0)
		error = complain(EXIT_FAILED, "fork: %s", strerror(errno));
	else if (read(report[0], &error, sizeof(error)) == sizeof(error)) {
		waitpid(root->pid, NULL, 0);
		error = complain(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC, "%s: %s",
		    root->argv[0], strerror(error));
	}
	close(report[0]);
	return error;
}

/* --- its stops ------------------------------------------------------------ */

/* Whether somebody's debugger is in front, which is why our child is stopped. */
static bool is_debugger_in_front(const struct tree_root *root)
{
	const struct upkeep *u = root->upkeep;
	pid_t group = u->tty >= 0 ? tcgetpgrp(u->tty) : -1;

	return u->lock && group > 0 && group != getpgrp() && group != root->group &&
	       !foreground_elsewhere(u->tty, getpid());
}

/* Whether the child's stop is one for the shell above. One for being in the
 * background is not while somebody has the terminal, who continues the child
 * before releasing that: so if nobody has it, and the child is stopped after
 * that, it is. */
static bool is_stop_ours(const struct tree_root *root, int sig)
{
	if ((sig == SIGTTIN || sig == SIGTTOU) && upkeep_at_terminal(root->upkeep) > 0)
		return false;
	return procfs_is_stopped(root->pid);
}

static void on_look(evutil_socket_t fd, short what, void *arg);

static void look_again(struct tree_root *root)
{
	struct timeval tv = {
	    .tv_sec = root->look_ms / 1000, .tv_usec = root->look_ms % 1000 * 1000};

	if (root->look_ms < LOOK_MS_MAX)
		root->look_ms *= 2;
	if (!root->on_look)
		root->on_look = evtimer_new(root->upkeep->base, on_look, root);
	if (root->on_look)
		evtimer_add(root->on_look, &tv);
}

static bool is_left_stopped(const struct tree_root *root, pid_t pid)
{
	int sig = procfs_stop_signal(pid);

	if (!sig && pid == root->pid)
		sig = root->stopped_by; /* we have been told */
	return sig != SIGSTOP && procfs_is_stopped(pid);
}

static int is_stopped_member(pid_t pid, void *arg)
{
	return is_left_stopped(arg, pid);
}

/* Whoever has its turn is to run: who is in front may be what a dead one has left there,
 * for it to end. */
static void continue_holder(const struct tree_root *root)
{
	pid_t group = root->group ? root->group : getpgrp();
	pid_t holder = upkeep_holder(root->upkeep);

	if (holder > 0 && getpgid(holder) == group && is_left_stopped(root, holder))
		kill(holder, SIGCONT);
}

/* Nobody above could continue it: as the kernel does not stop an orphaned group for a key,
 * nor do we. */
static void look_after_group(const struct tree_root *root)
{
	bool deserted = upkeep_is_deserted(root->upkeep);

	/* Who comes next, to mend that, may be one of the group, and needs to run; it is
	 * not to be stopped again at once. */
	if (deserted)
		upkeep_settle(root->upkeep, root->group);
	if (deserted || !is_debugger_in_front(root)) {
		kill(-root->group, SIGCONT);
		return;
	}
	continue_holder(root);
}

/* The shell that waits for us must see the job stopped; it continues us, and SIGCONT is
 * passed on. */
static void stop_too(void)
{
	kill(getpid(), SIGSTOP);
}

/* Whether a stop that was none for the shell above is over, or has become one. */
static void look_after_job(const struct tree_root *root)
{
	if (root->stopped_by != SIGTTIN && root->stopped_by != SIGTTOU)
		return;
	bool in_front = tcgetpgrp(root->upkeep->tty) == getpgrp();
	if (upkeep_at_terminal(root->upkeep) != 0 ||
	    (!in_front && !upkeep_is_deserted(root->upkeep)))
		continue_holder(root);
	else if (in_front)
		kill(root->pid, SIGCONT);
	else
		stop_too();
}

/* What is done at a stop goes by what was to be seen then: who was in front may have gone
 * since, or may have taken the child for one that was stopped before; a stop may reach one
 * that has just been continued, and the continuing another that is just being stopped.
 * So it is looked at again, until nobody is left stopped. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct tree_root *root = arg;

	(void)fd, (void)what;
	if (!root->pid)
		return;
	bool left = is_left_stopped(root, root->pid) ||
		    (root->group && !is_debugger_in_front(root) &&
			procfs_each_of_group(root->group, is_stopped_member, root) != 0);
	if (!left)
		return;
	if (root->group)
		look_after_group(root);
	else
		look_after_job(root);
	if (root->group || is_debugger_in_front(root))
		look_again(root);
}

static void stopped(struct tree_root *root, int sig, bool continued)
{
	root->stopped_by = sig;
	root->look_ms = LOOK_MS;
	if (root->group) {
		if (sig == SIGSTOP)
			return;
		look_after_group(root);
		look_again(root);
	} else if (!continued && is_debugger_in_front(root)) {
		look_again(root);
	} else if (!continued && is_stop_ours(root, sig)) {
		stop_too();
	}
}

static bool is_crash(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE ||
	       sig == SIGABRT || sig == SIGTRAP;
}

/* One that we were to handle, and cannot have. */
static void explain_crash(const struct tree_root *root)
{
	const char *wish = getenv("TTYLOCK_CRASH"), *why = reach_missed(root->argv[0]);

	if (why && root->upkeep->lock && !(wish && strcmp(wish, "off") == 0))
		complain(0, "no debugger for %s (pid %d): %s", root->argv[0], (int)root->pid, why);
}

void tree_root_changed(struct tree_root *root, int status, bool continued)
{
	if (WIFSTOPPED(status)) {
		stopped(root, WSTOPSIG(status), continued);
		return;
	}
	if (WIFSIGNALED(status) && is_crash(WTERMSIG(status)))
		explain_crash(root);
	root->pid = 0;
	root->status = exit_status_of(status);
	root->killed = WIFSIGNALED(status);
	tree_root_take_back_foreground(root);
}

void tree_root_continue(const struct tree_root *root)
{
	struct procfs_stat ps;

	if (root->pid && procfs_stat(root->pid, &ps) == 0 && ps.state == 'T')
		kill(root->pid, SIGCONT);
}

void tree_root_look_now(struct tree_root *root)
{
	if (root->on_look && evtimer_pending(root->on_look, NULL))
		event_active(root->on_look, EV_TIMEOUT, 0);
}

/* --- its end -------------------------------------------------------------- */

void tree_root_take_back_foreground(const struct tree_root *root)
{
	if (root->group && tcgetpgrp(root->upkeep->tty) == root->group)
		foreground_set(root->upkeep->tty, getpgrp());
}

void tree_root_deinit(struct tree_root *root)
{
	if (root->on_look)
		event_free(root->on_look);
	root->on_look = NULL;
}
