#include "foreground.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "procfs.h"
#include "terminal.h"

#define DEPTH_MAX 256

static int first_member(pid_t pid, void *arg)
{
	*(pid_t *)arg = pid;
	return 1;
}

static pid_t parent_of(pid_t pid)
{
	struct procfs_stat ps;

	return procfs_stat(pid, &ps) < 0 ? 0 : ps.ppid;
}

static bool is_self_or_ancestor(pid_t ancestor, pid_t pid)
{
	for (int depth = 0; pid > 0 && depth < DEPTH_MAX; depth++, pid = parent_of(pid))
		if (pid == ancestor)
			return true;
	return false;
}

/* Shells with job control ignore SIGTSTP for themselves; what they run does
 * not. */
static bool is_job_control_shell(pid_t pid)
{
	return procfs_ignores(pid, SIGTSTP);
}

bool foreground_elsewhere(int tty, pid_t pid)
{
	struct procfs_stat ps;
	pid_t front, group = tcgetpgrp(tty);

	if (group <= 0 || getpgid(pid) == group || procfs_stat(pid, &ps) < 0 || ps.pgrp == group)
		return false;
	front = group;
	if (procfs_stat(front, &ps) < 0 && procfs_each_of_group(group, first_member, &front) == 0)
		return false; /* nobody is there */

	/* Where the two families meet decides: at a shell, they are two of its
	 * jobs (or one, and the shell itself); below it, one. */
	for (int depth = 0; front > 1 && depth < DEPTH_MAX; depth++, front = parent_of(front)) {
		if (is_self_or_ancestor(front, pid))
			return is_job_control_shell(front);
		if (is_job_control_shell(front))
			return true;
	}
	return false;
}

/* Ends the walk at a member that is no ancestor of ours, or whose parent looks
 * after the group. */
static int is_looked_after(pid_t pid, void *arg)
{
	struct procfs_stat member, parent;

	(void)arg;
	if (!is_self_or_ancestor(pid, getpid()) || procfs_stat(pid, &member) < 0)
		return 1;
	return procfs_stat(member.ppid, &parent) == 0 && parent.session == member.session &&
	       parent.pgrp != member.pgrp;
}

bool foreground_is_orphaned(void)
{
	return procfs_each_of_group(getpgrp(), is_looked_after, NULL) == 0;
}

int foreground_set(int tty, pid_t pgrp)
{
	sigset_t ttou, old;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	int r = tcsetpgrp(tty, pgrp) < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}
