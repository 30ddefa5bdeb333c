#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/deadline.h"
#include "../lib/lock.h"

#define SEARCH_MS 500	/* between two looks for a daemon that is absent */
#define MUTE_MS	  30000 /* or that has kept us waiting for its answer */
#define LIST_MS	  1000
#define REST_MS	  50 /* between two lists, however fast things change */

void view_init(struct view *v)
{
	*v = (struct view){.error = -ENOENT};
}

static void forget(struct view *v, int error)
{
	ttylock_close(v->lock);
	v->lock = NULL;
	v->error = error;
	v->count = 0;
}

void view_deinit(struct view *v)
{
	forget(v, 0);
	free(v->entries);
	v->entries = NULL;
	v->room = 0;
}

int view_fd(const struct view *v)
{
	return v->lock ? ttylock_fd(v->lock) : -1;
}

static struct view_entry *add(struct view *v)
{
	if (v->count == v->room) {
		size_t room = v->room ? 2 * v->room : 16;
		struct view_entry *entries = reallocarray(v->entries, room, sizeof(*entries));
		if (!entries)
			return NULL;
		v->entries = entries;
		v->room = room;
	}
	return &v->entries[v->count++];
}

static int take_entry(const struct ttylock_entry *e, void *arg)
{
	struct view_entry *entry = add(arg);

	if (!entry)
		return -ENOMEM;
	*entry = (struct view_entry){.id = e->id,
	    .pid = e->pid,
	    .subject = e->subject,
	    .position = e->position,
	    .hidden = e->hidden};
	snprintf(entry->comm, sizeof(entry->comm), "%s", e->subject ? e->subject_comm : e->comm);
	snprintf(entry->terminal, sizeof(entry->terminal), "%s", e->terminal);
	return 0;
}

static void on_event(const ttylock_Event *event, void *arg)
{
	struct view *v = arg;

	(void)event;
	v->stale = true;
}

static void look(struct view *v)
{
	int64_t began = clock_ms();

	v->stale = false;
	v->count = 0;
	if (ttylock_list(v->lock, LIST_MS, take_entry, v) < 0)
		v->stale = true; /* and again, a little later */
	/* Of a long queue the looking must not take all the time. */
	v->next = clock_ms() + REST_MS + 4 * (clock_ms() - began);
}

static void search(struct view *v)
{
	int r = ttylock_open(&v->lock, TTYLOCK_NO_TERMINAL, 0);

	if (r == 0)
		r = lock_watch(v->lock, on_event, v);
	if (r < 0)
		forget(v, r);
	v->stale = r == 0;
	v->next = clock_ms() + (r == 0 ? 0 : r == -ETIMEDOUT ? MUTE_MS : SEARCH_MS);
}

int view_refresh(struct view *v)
{
	int r = v->lock ? ttylock_dispatch(v->lock, 0) : 0;

	/* One that is down connects by itself, but until then there is none to show. */
	if ((r < 0 && r != -EINTR) || (v->lock && !link_is_up(v->lock->link))) {
		forget(v, -ENOENT);
		v->next = 0;
	}
	if (!v->lock && clock_ms() >= v->next)
		search(v);
	if (v->lock && v->stale && clock_ms() >= v->next)
		look(v);
	return !v->lock || v->stale ? deadline_left(v->next) : -1;
}

void view_expire(struct view *v)
{
	v->stale = true;
	v->next = 0;
}
