#include "upkeep.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../lib/foreground.h"
#include "../lib/handover.h"
#include "../lib/procfs.h"
#include "../lib/terminal.h"

#define ANSWER_MS 2000

int upkeep_open(struct upkeep *u)
{
	int r = u->tty = terminal_open();

	if (r >= 0)
		r = ttylock_open(&u->lock, u->tty, TTYLOCK_START | LINK_EAGER);
	if (r < 0)
		return r;
	if (getrandom(&u->tree, sizeof(u->tree), 0) != sizeof(u->tree) || !u->tree)
		u->tree = (uint64_t)getpid();
	u->has_modes = tcgetattr(u->tty, &u->modes) == 0;
	return 0;
}

void upkeep_close(struct upkeep *u)
{
	if (u->on_lock)
		event_free(u->on_lock);
	ttylock_close(u->lock);
}

/* --- who is at the terminal ----------------------------------------------- */

bool upkeep_is_cut_off(const struct upkeep *u)
{
	return u->lock && ttylock_fd(u->lock) >= 0 && !link_is_up(u->lock->link);
}

static int is_of_tree(const struct ttylock_entry *entry, void *arg)
{
	const struct upkeep *u = arg;

	return entry->tree == u->tree;
}

int upkeep_of_tree(const struct upkeep *u)
{
	return u->lock ? ttylock_list(u->lock, ANSWER_MS, is_of_tree, (void *)u) : 0;
}

struct holders {
	const struct upkeep *upkeep;
	char terminal[64];
};

static int is_at_terminal(const struct ttylock_entry *entry, void *arg)
{
	const struct holders *h = arg;

	return entry->tree == h->upkeep->tree || !strcmp(entry->terminal, h->terminal);
}

int upkeep_at_terminal(const struct upkeep *u)
{
	struct holders h = {.upkeep = u};
	int r;

	if (!u->lock)
		return 0;
	r = terminal_path(u->tty, h.terminal, sizeof(h.terminal));
	return r < 0 ? r : ttylock_list(u->lock, ANSWER_MS, is_at_terminal, &h);
}

struct topmost {
	struct holders holders;
	pid_t pid;
};

static int note_topmost(const struct ttylock_entry *entry, void *arg)
{
	struct topmost *t = arg;

	if (entry->position || strcmp(entry->terminal, t->holders.terminal) != 0)
		return 0;
	t->pid = entry->pid;
	return -1; /* the first that is listed */
}

pid_t upkeep_holder(const struct upkeep *u)
{
	struct topmost t = {.holders.upkeep = u};

	if (u->lock && terminal_path(u->tty, t.holders.terminal, sizeof(t.holders.terminal)) == 0)
		ttylock_list(u->lock, ANSWER_MS, note_topmost, &t);
	return t.pid;
}

/* --- what is left behind -------------------------------------------------- */

static int is_anybody(pid_t pid, void *arg)
{
	(void)pid, (void)arg;
	return 1;
}

bool upkeep_is_deserted(const struct upkeep *u)
{
	pid_t group = u->tty >= 0 ? tcgetpgrp(u->tty) : -1;

	return group > 0 && procfs_each_of_group(group, is_anybody, NULL) == 0;
}

void upkeep_settle(struct upkeep *u, pid_t group)
{
	struct ttylock_wish wish = {.text = "mending the terminal", .nonblock = true};
	ttylock_LockStatus granted;
	uint64_t id;

	u->holder_died = false;
	if (!u->lock || ttylock_acquire(u->lock, &wish, ANSWER_MS, &id) < 0)
		return; /* the next holder does it */
	if (lock_last(u->lock, id, &granted) == 0 && granted.dirty) {
		handover_repair(u->tty, getpgrp(), granted.saved.bytes, granted.saved.size);
		lock_save(u->lock, id, granted.saved.bytes, 0);
	}
	if (group && upkeep_is_deserted(u))
		foreground_set(u->tty, group);
	ttylock_release(u->lock, id);
}

static void on_event(const ttylock_Event *event, void *arg)
{
	struct upkeep *u = arg;
	char path[64];

	/* Who has died with the daemon, or before the next one was asked? */
	if (event->kind == ttylock_EventKind_EVENT_LOST) {
		u->holder_died = true;
		event_active(u->on_lock, EV_TIMEOUT, 0);
		return;
	}
	bool ended = event->kind == ttylock_EventKind_EVENT_DIED ||
		     (event->kind == ttylock_EventKind_EVENT_RELEASED && event->entry.under);
	if (ended && event->entry.position == 0 && terminal_path(u->tty, path, sizeof(path)) == 0 &&
	    !strcmp(path, event->entry.terminal)) {
		u->holder_died = true;
		event_active(u->on_lock, EV_TIMEOUT, 0);
	}
}

static void watch_lock(struct upkeep *u);

static void on_lock(evutil_socket_t fd, short what, void *arg)
{
	struct upkeep *u = arg;

	(void)fd;
	if (what & EV_TIMEOUT) /* from on_event: not inside a dispatch */
		upkeep_settle(u, 0);
	if (ttylock_dispatch(u->lock, 0) == -ECONNRESET) {
		event_free(u->on_lock);
		u->on_lock = NULL;
		ttylock_close(u->lock);
		u->lock = NULL;
		if (ttylock_open(&u->lock, u->tty, TTYLOCK_START | LINK_EAGER) == 0)
			watch_lock(u);
	}
	u->heard(u->arg);
}

static void watch_lock(struct upkeep *u)
{
	u->on_lock = event_new(u->base, ttylock_fd(u->lock), EV_READ | EV_PERSIST, on_lock, u);
	event_add(u->on_lock, NULL);
	lock_watch(u->lock, on_event, u);
}

void upkeep_watch(struct upkeep *u, struct event_base *base, void (*heard)(void *arg), void *arg)
{
	u->base = base;
	u->heard = heard;
	u->arg = arg;
	watch_lock(u);
}

/* News of a holder's death is older than a list that was asked for since, but it may
 * not have been read yet. */
void upkeep_catch_up(struct upkeep *u)
{
	if (u->lock && ttylock_dispatch(u->lock, 0) >= 0 && u->holder_died)
		upkeep_settle(u, 0);
}

/* As a shell does for a job that a signal has ended, which it does not learn of us. */
void upkeep_put_back_modes(const struct upkeep *u)
{
	if (u->unsettled && u->has_modes && tcgetpgrp(u->tty) == getpgrp())
		terminal_set_modes(u->tty, &u->modes);
}
