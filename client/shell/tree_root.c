#include "tree_root.h"

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

static int is_anybody(pid_t pid, void *arg)
{
	(void)pid, (void)arg;
	return 1;
}

/* Who was in front has been killed. Who comes next may be one of the child's
 * group, and can mend the terminal only if it runs. */
static bool is_nobody_in_front(const struct tree_root *root)
{
	pid_t group = tcgetpgrp(root->upkeep->tty);

	return group > 0 && procfs_each_of_group(group, is_anybody, NULL) == 0;
}

/* Whether the child's stop is one for the shell above. One for being in the
 * background is not while somebody has the terminal, who continues the child
 * before releasing that: so if nobody has it, and the child is stopped after
 * that, it is. */
static bool is_stop_ours(const struct tree_root *root, int sig)
{
	if (sig != SIGTTIN && sig != SIGTTOU)
		return true;
	if (upkeep_at_terminal(root->upkeep) > 0)
		return false;
	return procfs_is_stopped(root->pid);
}

static void stopped(const struct tree_root *root, int sig, bool continued)
{
	if (root->group) {
		/* Nobody above could continue it: as the kernel does not stop
		 * an orphaned group for a key, nor do we. */
		if (sig != SIGSTOP && (!is_debugger_in_front(root) || is_nobody_in_front(root)))
			kill(-root->group, SIGCONT);
	} else if (!continued && !is_debugger_in_front(root) && is_stop_ours(root, sig)) {
		/* The shell that waits for us must see the job stopped;
		 * it continues us, and SIGCONT is passed on. */
		kill(getpid(), SIGSTOP);
	}
}

void tree_root_changed(struct tree_root *root, int status, bool continued)
{
	if (WIFSTOPPED(status)) {
		stopped(root, WSTOPSIG(status), continued);
		return;
	}
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

/* --- its end -------------------------------------------------------------- */

void tree_root_take_back_foreground(const struct tree_root *root)
{
	if (root->group && tcgetpgrp(root->upkeep->tty) == root->group)
		foreground_set(root->upkeep->tty, getpgrp());
}
