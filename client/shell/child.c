#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/foreground.h"
#include "../lib/procfs.h"
#include "../lib/terminal.h"
#include "command.h"
#include "options.h"
#include "preload.h"

/* --- its start ------------------------------------------------------------ */

/* Where no shell does job control above us, we do the part of it that a tree
 * needs: in a group that is looked after, who reads the terminal while somebody
 * else has it is stopped; in an orphaned one its read fails. */
static bool needs_group(const struct upkeep *u)
{
	return u->lock && terminal_is_controlling(u->tty) && tcgetpgrp(u->tty) == getpgrp() &&
	       foreground_is_orphaned();
}

static void become(const struct child *c, const struct signals *signals, int report)
{
	if (c->group) {
		setpgid(0, 0);
		foreground_set(c->upkeep->tty, getpid());
	}
	if (c->upkeep->lock) {
		int r = preload_setenv();
		if (r < 0)
			complain(0, "running without crash handling: libttylock-preload.so: %s",
			    r == -EINVAL ? "its path holds a space or a colon" : strerror(-r));
	}
	signals_restore(signals);
	execvp(c->argv[0], c->argv);
	int error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

int child_start(struct child *c, const struct signals *signals)
{
	int report[2], error = 0;

	if (pipe2(report, O_CLOEXEC) < 0)
		return complain(EXIT_FAILED, "pipe: %s", strerror(errno));
	c->group = needs_group(c->upkeep);
	c->pid = fork();
	if (c->pid == 0)
		become(c, signals, report[1]);
	if (c->pid > 0 && c->group)
		c->group = c->pid;
	close(report[1]);
	if (c->pid < 0)
		error = complain(EXIT_FAILED, "fork: %s", strerror(errno));
	else if (read(report[0], &error, sizeof(error)) == sizeof(error)) {
		waitpid(c->pid, NULL, 0);
		error = complain(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC, "%s: %s",
		    c->argv[0], strerror(error));
	}
	close(report[0]);
	return error;
}

/* --- its stops ------------------------------------------------------------ */

/* Whether somebody's debugger is in front, which is why our child is stopped. */
static bool is_debugger_in_front(const struct child *c)
{
	const struct upkeep *u = c->upkeep;
	pid_t group = u->tty >= 0 ? tcgetpgrp(u->tty) : -1;

	return u->lock && group > 0 && group != getpgrp() && group != c->group &&
	       !foreground_elsewhere(u->tty, getpid());
}

static int is_anybody(pid_t pid, void *arg)
{
	(void)pid, (void)arg;
	return 1;
}

/* Who was in front has been killed. Who comes next may be one of the child's
 * group, and can mend the terminal only if it runs. */
static bool is_nobody_in_front(const struct child *c)
{
	pid_t group = tcgetpgrp(c->upkeep->tty);

	return group > 0 && procfs_each_of_group(group, is_anybody, NULL) == 0;
}

/* Whether the child's stop is one for the shell above. One for being in the
 * background is not while somebody has the terminal, who continues the child
 * before releasing that: so if nobody has it, and the child is stopped after
 * that, it is. */
static bool is_stop_ours(const struct child *c, int sig)
{
	if (sig != SIGTTIN && sig != SIGTTOU)
		return true;
	if (upkeep_at_terminal(c->upkeep) > 0)
		return false;
	return procfs_is_stopped(c->pid);
}

static void child_stopped(const struct child *c, int sig, bool continued)
{
	if (c->group) {
		/* Nobody above could continue it: as the kernel does not stop
		 * an orphaned group for a key, nor do we. */
		if (sig != SIGSTOP && (!is_debugger_in_front(c) || is_nobody_in_front(c)))
			kill(-c->group, SIGCONT);
	} else if (!continued && !is_debugger_in_front(c) && is_stop_ours(c, sig)) {
		/* The shell that waits for us must see the job stopped;
		 * it continues us, and SIGCONT is passed on. */
		kill(getpid(), SIGSTOP);
	}
}

void child_changed(struct child *c, int status, bool continued)
{
	if (WIFSTOPPED(status)) {
		child_stopped(c, WSTOPSIG(status), continued);
		return;
	}
	c->pid = 0;
	c->status = exit_status_of(status);
	c->killed = WIFSIGNALED(status);
	child_take_back_foreground(c);
}

void child_continue(const struct child *c)
{
	struct procfs_stat ps;

	if (c->pid && procfs_stat(c->pid, &ps) == 0 && ps.state == 'T')
		kill(c->pid, SIGCONT);
}

/* --- its end -------------------------------------------------------------- */

void child_take_back_foreground(const struct child *c)
{
	if (c->group && tcgetpgrp(c->upkeep->tty) == c->group)
		foreground_set(c->upkeep->tty, getpgrp());
}
