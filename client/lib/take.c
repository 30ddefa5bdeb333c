#include "take.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deadline.h"
#include "export.h"
#include "foreground.h"
#include "handover.h"
#include "process.h"
#include "sync_point.h"
#include "terminal.h"

/* No longer: without a daemon, one goes on with what one has. */
#define CONFIRM_MS 2000

struct taken {
	struct handover handover;
	pid_t group_before; /* ours, to go back to */
};

/* A process that leads its group cannot leave it for a new one of its own
 * number, but it can join one that somebody else has begun: a child, which is
 * not needed after that. 0 or -errno. */
static int join_new_group(void)
{
	int gate[2];
	char byte;

	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	pid_t child = fork();
	if (child == 0) {
		close(gate[1]);
		if (setpgid(0, 0) == 0 && read(gate[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	int r = child < 0 ? -errno : 0;
	close(gate[0]);
	if (r == 0) {
		setpgid(child, child);
		r = setpgid(0, child) < 0 ? -errno : 0;
	}
	close(gate[1]);
	if (child > 0)
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	return r;
}

static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};
#define STOPS (sizeof(stops) / sizeof(stops[0]))

/* What the kernel has of an action, whatever its layout. */
struct raw_action {
	unsigned char bytes[256];
};

static void ignore_stops(struct raw_action was[STOPS])
{
	for (size_t i = 0; i < STOPS; i++) {
		syscall(SYS_rt_sigaction, stops[i], NULL, &was[i], _NSIG / 8);
		sigaction(stops[i], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	}
}

static void restore_stops(const struct raw_action was[STOPS])
{
	for (size_t i = 0; i < STOPS; i++)
		syscall(SYS_rt_sigaction, stops[i], &was[i], NULL, _NSIG / 8);
}

/* Out of the group of everybody else in the tree, so that the keys reach us
 * alone. A session's leader has to stay; whoever reads beside it is held. A stop
 * that was for the old group must not come true in the new one, where nobody
 * would continue us. */
static void leave_group(void)
{
	struct raw_action was[STOPS];

	ignore_stops(was);
	if (getpgrp() == getpid())
		join_new_group();
	else
		setpgid(0, 0);
	restore_stops(was);
}

/* Ctrl-Z would stop us alone, in a group that no shell looks after. */
static void disable_suspend(int tty)
{
	struct termios now;

	if (tcgetattr(tty, &now) == 0) {
		now.c_cc[VSUSP] = _POSIX_VDISABLE;
		terminal_set_modes(tty, &now);
	}
}

static int take_locked(struct ttylock *t, uint64_t id, const ttylock_LockStatus *granted)
{
	uint8_t saved[HANDOVER_SAVED_MAX];

	if (t->taken)
		return -EALREADY;
	if (foreground_elsewhere(t->tty, getpid()))
		return -EIO;
	/* First, for the daemon says it once: whoever is told has to. */
	if (granted->dirty)
		handover_repair(t->tty, getpgrp(), granted->saved.bytes, granted->saved.size);
	struct taken *taken = calloc(1, sizeof(*taken));
	if (!taken)
		return -ENOMEM;

	taken->group_before = getpgrp();
	handover_begin(&taken->handover, t->tty, taken->group_before);
	if (taken->handover.has_termios) /* else it could not be put back */
		disable_suspend(t->tty);
	if (taken->handover.job_control)
		leave_group();
	taken->handover.group = getpgrp();
	link_save(t->link, t, id, saved, handover_save(&taken->handover, saved));
	SYNC_POINT("take.saved-not-given");
	int r = handover_give(&taken->handover, getpgrp());
	t->taken = taken;
	t->taken_by = id;
	return r < 0 ? -EIO : 0;
}

static int give_locked(struct ttylock *t)
{
	struct taken *taken = t->taken;

	if (!taken)
		return -ENOENT;
	t->taken = NULL;
	handover_lend(&taken->handover);
	if (taken->handover.job_control && getpgrp() != taken->group_before &&
	    setpgid(0, taken->group_before) < 0)
		setpgid(0, 0); /* the others are gone, and the group with them */
	free(taken);
	return 0;
}

EXPORT int ttylock_take_terminal(struct ttylock *t, uint64_t id)
{
	ttylock_LockStatus granted;
	struct ttylock_status status;

	/* It may have been released by force since, and somebody else be in front. */
	link_confirm(t->link, id, deadline_in(CONFIRM_MS));
	if (link_status(t->link, t, id, &status) < 0 || status.state != TTYLOCK_GRANTED ||
	    link_last(t->link, t, id, &granted) < 0)
		return -ENOENT;
	pthread_mutex_lock(&t->lock);
	int r = take_locked(t, id, &granted);
	if (r < 0 && r != -EALREADY)
		give_locked(t);
	pthread_mutex_unlock(&t->lock);
	return r;
}

void take_give_back(struct ttylock *t, uint64_t id)
{
	if (t->link->owner != process_id())
		return; /* it is the parent's */
	pthread_mutex_lock(&t->lock);
	if (t->taken_by == id)
		give_locked(t);
	pthread_mutex_unlock(&t->lock);
}

EXPORT int ttylock_give_terminal(struct ttylock *t)
{
	if (t->link->owner != process_id())
		return -ECONNRESET;
	pthread_mutex_lock(&t->lock);
	int r = give_locked(t);
	pthread_mutex_unlock(&t->lock);
	return r;
}

EXPORT int ttylock_terminal(const struct ttylock *t)
{
	return t->tty;
}
