#include "locktable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "left.h"
#include "records.h"
#include "waitgraph.h"

/* --- holding and waiting ----------------------------------------------- */

static void grant_fill(
    const struct locktable *t, const struct request *r, struct locktable_grant *grant)
{
	const struct left *level = records_level(t, r);

	*grant = (struct locktable_grant){
	    .request = r->id,
	    .owner = r->owner,
	    .waiters = terminal_at(t, r->terminal_slot)->n_waiters,
	    .dirty = level->dirty,
	};
	if (level->saved != SLOT_NONE) {
		const struct saved *s = saved_at(t, level->saved);

		grant->saved_size = s->size;
		memcpy(grant->saved, s->bytes, s->size);
	}
}

/* Makes a request at the head of its line, but in no other list, the topmost
 * holder, and tells of it. */
static void request_hold(struct locktable *t, uint32_t slot, struct locktable_grant *grant)
{
	struct request *r = request_at(t, slot);
	struct terminal *term = terminal_at(t, r->terminal_slot);

	assert(term->line.first == slot);
	list_insert(t, &term->holders, slot, term->holders.first, link_stack);
	r->holds = true;
	r->granted = ++t->last_grant;
	list_insert(t, &owner_at(t, r->owner_slot)->holds, slot, SLOT_NONE, link_mine);

	records_level(t, r)->untold = false;
	grant_fill(t, r, grant);
}

static void request_wait(struct locktable *t, uint32_t slot)
{
	struct request *r = request_at(t, slot);

	terminal_at(t, r->terminal_slot)->n_waiters++;
	list_insert(t, &owner_at(t, r->owner_slot)->waits, slot, SLOT_NONE, link_mine);
}

static void request_unwait(struct locktable *t, uint32_t slot)
{
	struct request *r = request_at(t, slot);

	terminal_at(t, r->terminal_slot)->n_waiters--;
	list_remove(t, &owner_at(t, r->owner_slot)->waits, slot, link_mine);
}

/* Grants the terminal to whoever is first in line now, unless that one has it. */
static void terminal_serve(
    struct locktable *t, const struct terminal *term, struct locktable_grant *grant)
{
	uint32_t first = term->line.first;

	if (first == SLOT_NONE || request_at(t, first)->holds)
		return;
	request_unwait(t, first);
	request_hold(t, first, grant);
}

static bool terminal_idle(const struct terminal *term)
{
	return term->line.first == SLOT_NONE;
}

static void request_end(
    struct locktable *t, uint32_t slot, enum locktable_end end, struct locktable_change *change)
{
	struct request *r = request_at(t, slot);
	uint32_t terminal_slot = r->terminal_slot;
	struct terminal *term = terminal_at(t, terminal_slot);
	const struct left *level = NULL;
	struct left before;

	*change = (struct locktable_change){
	    .outcome = r->holds ? LOCKTABLE_RELEASED : LOCKTABLE_CANCELLED,
	    .request = r->id,
	    .owner = r->owner,
	    .terminal = term->id,
	};
	if (r->holds) {
		level = records_level(t, r);
		before = *level;
		if (r->stack.next != SLOT_NONE)
			change->level = request_at(t, r->stack.next)->id;
		bool topmost = term->holders.first == slot;

		if (end == LOCKTABLE_DIRTY)
			left_dirty(t, r, topmost);
		else if (end == LOCKTABLE_UNTOUCHED && r->saved == SLOT_NONE)
			left_untouched(t, r);
		else
			left_clean(t, r, topmost);
		list_remove(t, &owner_at(t, r->owner_slot)->holds, slot, link_mine);
		list_remove(t, &term->holders, slot, link_stack);
	} else {
		request_unwait(t, slot);
	}
	list_remove(t, &term->line, slot, link_line);
	records_remove(t, slot);
	terminal_serve(t, term, &change->grant);

	change->left_changed = level && left_differs(&before, level);
	change->waiters = term->n_waiters;
	change->idle = terminal_idle(term);
	change->kept = change->idle && term->left.dirty;
	if (change->idle && !change->kept) {
		left_drop_saved(t, &term->left.saved);
		records_remove_terminal(t, terminal_slot);
	}
}

/* --- public ------------------------------------------------------------ */

static uint32_t task_find(const struct locktable *t, const struct locktable_wish *w)
{
	uint32_t slot = records_task_first(t, w->process, &w->task);

	while (slot != SLOT_NONE &&
	       terminal_at(t, request_at(t, slot)->terminal_slot)->id != w->terminal)
		slot = records_task_next(t, slot);
	return slot;
}

/* The grant directly before which the wish is to stand in line; SLOT_NONE: last. */
static uint32_t wish_place(
    const struct locktable *t, const struct locktable_wish *wish, uint32_t terminal)
{
	uint32_t under = wish->under ? records_request(t, wish->under) : SLOT_NONE;

	if (under == SLOT_NONE || !request_at(t, under)->holds ||
	    request_at(t, under)->terminal_slot != terminal)
		return SLOT_NONE;
	return under;
}

/* Why the wish cannot be queued or granted, told without changing anything; 0
 * when it can, and *before says where. */
static enum locktable_outcome wish_refusal(struct locktable *t, const struct locktable_wish *wish,
    struct locktable_change *change, uint32_t *before)
{
	uint32_t terminal = records_terminal(t, wish->terminal);

	*before = SLOT_NONE;
	if (terminal == SLOT_NONE)
		return 0;
	const struct terminal *term = terminal_at(t, terminal);
	change->waiters = term->n_waiters;
	if (term->holders.first != SLOT_NONE)
		change->holder = request_at(t, term->holders.first)->id;

	uint32_t first = task_find(t, wish);
	if (first != SLOT_NONE) {
		change->first = request_at(t, first)->id;
		return LOCKTABLE_DEADLOCK;
	}
	*before = wish_place(t, wish, terminal);
	if (wish->nonblock && *before != term->line.first)
		return LOCKTABLE_BUSY;
	return waitgraph_closes(t, wish, terminal, *before) ? LOCKTABLE_DEADLOCK : 0;
}

/* Of a waiter under a grant. Those before it are not counted as they come and
 * go: whoever joins a queue further down would have to be moved one by one. */
static uint32_t nested_position(const struct locktable *t, const struct request *r)
{
	uint32_t n = 1, slot = r->line.prev;

	for (int i = 0; i < LOCKTABLE_COUNTED; i++) {
		if (slot == SLOT_NONE)
			return n;
		n += !request_at(t, slot)->holds;
		slot = request_at(t, slot)->line.prev;
	}
	return terminal_at(t, r->terminal_slot)->n_waiters;
}

enum locktable_outcome locktable_lock(struct locktable *t, const struct locktable_wish *wish,
    uint64_t now, struct locktable_change *change)
{
	uint32_t before;

	*change = (struct locktable_change){.owner = wish->owner, .terminal = wish->terminal};
	change->outcome = wish_refusal(t, wish, change, &before);
	if (change->outcome)
		return change->outcome;

	uint32_t slot = records_add(t, wish, 0, now);
	if (slot == SLOT_NONE)
		return change->outcome = LOCKTABLE_FULL;

	struct request *r = request_at(t, slot);
	struct terminal *term = terminal_at(t, r->terminal_slot);
	change->request = r->id;
	change->under = before == SLOT_NONE ? 0 : wish->under;
	r->under = before == SLOT_NONE ? 0 : request_at(t, before)->granted;
	list_insert(t, &term->line, slot, before, link_line);
	if (term->line.first == slot) {
		change->level = change->under;
		change->left_changed =
		    before == SLOT_NONE ? term->left.untold : request_at(t, before)->left.untold;
		request_hold(t, slot, &change->grant);
		return change->outcome = LOCKTABLE_GRANTED;
	}
	request_wait(t, slot);
	change->position = before == SLOT_NONE ? term->n_waiters : nested_position(t, r);
	return change->outcome = LOCKTABLE_QUEUED;
}

bool locktable_serve(struct locktable *t, uint64_t terminal, struct locktable_change *change)
{
	uint32_t slot = records_terminal(t, terminal);

	*change = (struct locktable_change){.terminal = terminal};
	if (slot != SLOT_NONE)
		terminal_serve(t, terminal_at(t, slot), &change->grant);
	return change->grant.request != 0;
}

enum locktable_outcome locktable_release(
    struct locktable *t, uint64_t request, enum locktable_end end, struct locktable_change *change)
{
	uint32_t slot = records_request(t, request);

	if (slot == SLOT_NONE) {
		*change =
		    (struct locktable_change){.outcome = LOCKTABLE_NOT_FOUND, .request = request};
		return LOCKTABLE_NOT_FOUND;
	}
	request_end(t, slot, end, change);
	return change->outcome;
}

/* The head of the queue that it waits in. A grant under which it waited may have
 * ended: then it is in the queue of the next one below. Those on top are younger,
 * and the topmost always is: under that one nobody waits. */
static uint32_t queue_first(const struct locktable *t, const struct request *r)
{
	uint32_t above, slot = terminal_at(t, r->terminal_slot)->holders.first;

	do {
		above = slot;
		slot = request_at(t, above)->stack.next;
	} while (slot != SLOT_NONE && request_at(t, slot)->granted > r->under);
	return request_at(t, above)->line.next;
}

static void line_move(struct locktable *t, uint32_t slot, uint32_t before)
{
	struct list *line = &terminal_at(t, request_at(t, slot)->terminal_slot)->line;

	list_remove(t, line, slot, link_line);
	list_insert(t, line, slot, before, link_line);
}

enum locktable_outcome locktable_serve_first(
    struct locktable *t, uint64_t request, struct locktable_change *change)
{
	uint32_t slot = records_request(t, request);

	*change = (struct locktable_change){.outcome = LOCKTABLE_NOT_FOUND, .request = request};
	if (slot == SLOT_NONE)
		return change->outcome;

	struct request *r = request_at(t, slot);
	const struct terminal *term = terminal_at(t, r->terminal_slot);
	change->owner = r->owner;
	change->terminal = term->id;
	change->holder = request_at(t, term->holders.first)->id;
	change->waiters = term->n_waiters - !r->holds;
	if (r->holds)
		return change->outcome = LOCKTABLE_GRANTED;

	uint32_t first = queue_first(t, r), behind = r->line.next;
	if (first != slot) {
		line_move(t, slot, first);
		if (waitgraph_has_circle(t, slot)) {
			line_move(t, slot, behind);
			return change->outcome = LOCKTABLE_DEADLOCK;
		}
		/* It is before all of them by rank, too. They are under the same
		 * grant now, though they may have asked under others. */
		r->under = request_at(t, first)->under;
		r->rank = --t->first_rank;
	}
	change->position = nested_position(t, r);
	return change->outcome = LOCKTABLE_QUEUED;
}

static uint32_t owned_first(const struct locktable *t, uint64_t owner)
{
	uint32_t slot = records_owner(t, owner);
	if (slot == SLOT_NONE)
		return SLOT_NONE;

	const struct owner *o = owner_at(t, slot);
	return o->waits.first != SLOT_NONE ? o->waits.first : o->holds.first;
}

uint64_t locktable_owned(const struct locktable *t, uint64_t owner)
{
	uint32_t slot = owned_first(t, owner);

	return slot == SLOT_NONE ? 0 : request_at(t, slot)->id;
}

bool locktable_drop_owner(struct locktable *t, uint64_t owner, struct locktable_change *change)
{
	uint32_t slot = owned_first(t, owner);

	if (slot == SLOT_NONE)
		return false;
	request_end(t, slot, LOCKTABLE_DIRTY, change);
	return true;
}

bool locktable_requeue(const struct locktable *t, uint64_t request, struct locktable_change *change)
{
	uint32_t slot = records_request(t, request);

	if (slot == SLOT_NONE || request_at(t, slot)->holds)
		return false;
	const struct request *r = request_at(t, slot);
	const struct terminal *term = terminal_at(t, r->terminal_slot);
	*change = (struct locktable_change){
	    .outcome = LOCKTABLE_QUEUED,
	    .request = r->id,
	    .owner = r->owner,
	    .terminal = term->id,
	    .waiters = term->n_waiters - 1,
	    .position = nested_position(t, r),
	    .holder = term->holders.first == SLOT_NONE ? 0 : request_at(t, term->holders.first)->id,
	};
	return true;
}

bool locktable_regrant(const struct locktable *t, uint64_t request, struct locktable_grant *grant)
{
	uint32_t slot = records_request(t, request);

	if (slot == SLOT_NONE || !request_at(t, slot)->holds)
		return false;
	grant_fill(t, request_at(t, slot), grant);
	return true;
}

bool locktable_forget(struct locktable *t, uint64_t terminal)
{
	uint32_t slot = records_terminal(t, terminal);

	if (slot == SLOT_NONE || !terminal_idle(terminal_at(t, slot)))
		return false;
	left_drop_saved(t, &terminal_at(t, slot)->left.saved);
	records_remove_terminal(t, slot);
	return true;
}
