#include "turn.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/deadline.h"
#include "../lib/foreground.h"
#include "../lib/inherit.h"
#include "../lib/procfs.h"
#include "command.h"
#include "tree.h"

#define ESCAPE_PRESSES	 3
#define ESCAPE_WINDOW_MS 2000
#define BACKGROUND_MS	 200
#define ORPHAN_MS	 1000
#define LIST_MS		 2000

struct wait {
	struct turn *turn;
	int64_t deadline;
	uint64_t id;
	int64_t presses[ESCAPE_PRESSES]; /* the times of the last SIGINTs, newest first */
};

/* Third SIGINT within the window: the person wants out, whatever we think. */
static bool escapes(struct wait *w)
{
	memmove(w->presses + 1, w->presses, sizeof(w->presses) - sizeof(*w->presses));
	w->presses[0] = clock_ms();
	int64_t first = w->presses[ESCAPE_PRESSES - 1];
	return first && w->presses[0] - first <= ESCAPE_WINDOW_MS;
}

/* -ECANCELED to end the wait, 0 to go on. */
static int take_interrupt(struct wait *w)
{
	struct ttylock_status s;

	/* Our turn may have come, and not been read yet. */
	ttylock_dispatch(w->turn->lock, 0);
	/* Also while the daemon is gone, or has not answered: nobody is known to have
	 * the terminal then. */
	if (escapes(w) || !link_is_up(w->turn->lock->link) ||
	    ttylock_get_status(w->turn->lock, w->id, &s) < 0 || s.state != TTYLOCK_QUEUED || !s.id)
		return -ECANCELED;
	if (s.holder_pid)
		complain(0, "Ctrl-C kept back: %s (pid %d) has the terminal: %s", s.holder_comm,
		    (int)s.holder_pid, s.holder_text);
	else
		complain(0, "Ctrl-C kept back: somebody else has the terminal");
	return 0;
}

static int take_signals(struct wait *w)
{
	struct signalfd_siginfo info;
	int r = 0;

	while (r == 0 && signals_next(w->turn->signals, &info)) {
		if (info.ssi_signo == SIGINT)
			r = take_interrupt(w);
		else if (info.ssi_signo != SIGCHLD)
			r = -ECANCELED;
		if (r < 0)
			w->turn->ended_by = (int)info.ssi_signo;
	}
	return r;
}

/* Waits up to timeout_ms for news of the lock, a signal or the subject's end.
 * 1: news of the lock; 0; or what ends the wait. */
static int wait_event(struct wait *w, int timeout_ms)
{
	struct turn *t = w->turn;
	struct pollfd p[] = {
	    {.fd = t->signals->fd, .events = POLLIN},
	    {.fd = t->subject, .events = POLLIN},
	    {.fd = ttylock_fd(t->lock), .events = POLLIN},
	};
	int n = poll(p, 3, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	if (n <= 0)
		return 0;
	if (p[1].revents)
		return -ESRCH;
	int r = p[0].revents ? take_signals(w) : 0;
	return r < 0 ? r : p[2].revents != 0;
}

static int wait_granted(struct wait *w)
{
	struct ttylock_status s;

	for (;;) {
		int r = ttylock_dispatch(w->turn->lock, 0);
		if (r < 0 && r != -EINTR)
			return r;
		ttylock_get_status(w->turn->lock, w->id, &s);
		if (s.state == TTYLOCK_GRANTED)
			return 0;
		if (s.state == TTYLOCK_REFUSED)
			return s.error ? s.error : -EPROTO;
		if (s.state != TTYLOCK_QUEUED)
			return -ECANCELED;
		if (deadline_left(w->deadline) == 0)
			return -ETIMEDOUT;
		r = wait_event(w, deadline_left(w->deadline));
		if (r < 0)
			return r;
	}
}

static int wait_foreground(struct wait *w)
{
	struct turn *t = w->turn;
	char comm[32];

	if (tree_is_orphaned())
		return -ENXIO;
	procfs_comm(t->job, comm);
	complain(0,
	    "%s (pid %d) wants the terminal and waits for its job to be in the foreground (fg)",
	    comm, (int)t->job);
	while (foreground_elsewhere(t->lock->tty, t->job)) {
		int r = wait_event(w, BACKGROUND_MS);
		if (r < 0)
			return r;
		if (r > 0 && (r = ttylock_dispatch(t->lock, 0)) < 0 && r != -EINTR)
			return r;
		if (tree_is_orphaned())
			return -ENXIO;
		if (deadline_left(w->deadline) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

static void note_down(struct turn *t)
{
	ttylock_LockStatus granted = ttylock_LockStatus_init_zero;
	pid_t home = tree_home(t->job);

	lock_last(t->lock, t->id, &granted);
	t->waiters = granted.waiters;
	if (granted.dirty)
		handover_repair(t->lock->tty, home, granted.saved.bytes, granted.saved.size);
	handover_begin(&t->handover, t->lock->tty, home);
}

void turn_ask_by(struct turn *t, uint64_t id)
{
	ttylock_LockStatus last;

	*t->by = '\0';
	if (lock_last(t->lock, id, &last) == 0)
		snprintf(t->by, sizeof(t->by), "%s", last.by);
}

int turn_take(struct turn *t, const struct ttylock_wish *wish, int timeout_ms)
{
	struct wait w = {.turn = t, .deadline = deadline_in(timeout_ms)};

	for (;;) {
		int r = ttylock_acquire_async(t->lock, wish, &w.id);
		if (r < 0)
			return r;
		r = wait_granted(&w);
		if (r < 0) {
			turn_ask_by(t, w.id);
			ttylock_cancel(t->lock, w.id);
			return r;
		}
		if (!foreground_elsewhere(t->lock->tty, t->job))
			break;
		/* Not with the lock in hand: a job in front may want it. */
		ttylock_release(t->lock, w.id);
		r = wish->nonblock ? -EBUSY : wait_foreground(&w);
		if (r < 0)
			return r;
	}
	t->id = w.id;
	note_down(t);
	return 0;
}

void turn_pass_on(struct turn *t)
{
	ttylock_LockStatus granted;

	if (lock_last(t->lock, t->id, &granted) == 0 && granted.token.size == INHERIT_TOKEN)
		inherit_setenv(granted.token.bytes);
}

void turn_give(struct turn *t, pid_t pgrp)
{
	uint8_t saved[HANDOVER_SAVED_MAX];

	/* First leave word, then do it: dying between the two must not leave
	 * a debugger in front that nobody knows of. */
	t->handover.group = pgrp;
	lock_save(t->lock, t->id, saved, handover_save(&t->handover, saved));
	handover_give(&t->handover, pgrp);
	if (t->handover.readers.stopped_count)
		lock_save(t->lock, t->id, saved, handover_save(&t->handover, saved));
}

/* The first holder listed is the topmost: 1: us, -1: somebody else. */
static int is_ours(const struct ttylock_entry *entry, void *arg)
{
	const ttylock_LockStatus *granted = arg;

	if (entry->position || strcmp(entry->terminal, granted->terminal) != 0)
		return 0;
	return entry->id == granted->id ? 1 : -1;
}

/* Whether somebody below us, served on top of us, has the terminal still. */
static bool is_covered(struct turn *t)
{
	ttylock_LockStatus granted;

	if (!t->handover.job_control || tcgetpgrp(t->lock->tty) == t->handover.group)
		return false;
	return lock_last(t->lock, t->id, &granted) == 0 &&
	       ttylock_list(t->lock, LIST_MS, is_ours, &granted) == -1;
}

bool turn_give_again(struct turn *t)
{
	pid_t group = t->handover.group, front = tcgetpgrp(t->lock->tty);

	if (!t->handover.job_control || foreground_elsewhere(t->lock->tty, t->job) || is_covered(t))
		return false;
	if (front > 0 && front != group)
		t->handover.previous = front;
	turn_give(t, group);
	return true;
}

void turn_put_back(struct turn *t)
{
	struct pollfd subject = {.fd = t->subject, .events = POLLIN};

	/* Nobody else will see to it that the keys do not go to a group that ends
	 * with the crashed process. */
	if (t->subject >= 0 && tree_is_orphaned())
		poll(&subject, 1, ORPHAN_MS);
	if (is_covered(t))
		handover_abandon(&t->handover);
	else
		handover_end(&t->handover);
}

void turn_end(struct turn *t)
{
	ttylock_release(t->lock, t->id);
}
