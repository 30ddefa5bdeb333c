#include "restore.h"

#include <string.h>

#include "records.h"

bool locktable_place(const struct locktable *t, uint64_t request, struct locktable_place *place)
{
	uint32_t slot = records_request(t, request);

	if (slot == SLOT_NONE)
		return false;
	const struct request *r = request_at(t, slot);
	*place = (struct locktable_place){
	    .granted = r->holds ? r->granted : 0,
	    .under = r->under,
	    .rank = r->rank,
	};
	return true;
}

int restore_compare(const struct locktable_place *a, const struct locktable_place *b)
{
	if (a->granted || b->granted) {
		if (!a->granted || !b->granted)
			return a->granted ? -1 : 1;
		return a->granted < b->granted ? -1 : a->granted > b->granted;
	}
	/* Those of a grant that has ended are in front of those below. */
	if (a->under != b->under)
		return a->under > b->under ? -1 : 1;
	return a->rank < b->rank ? -1 : a->rank > b->rank;
}

/* --- what the dead left ------------------------------------------------ */

/* NULL: none. */
static struct left *left_of(const struct locktable *t, uint64_t terminal, uint64_t level)
{
	uint32_t term = records_terminal(t, terminal);
	uint32_t slot = level ? records_request(t, level) : SLOT_NONE;

	if (term == SLOT_NONE)
		return NULL;
	if (!level)
		return &terminal_at(t, term)->left;
	if (slot == SLOT_NONE || !request_at(t, slot)->holds ||
	    request_at(t, slot)->terminal_slot != term)
		return NULL;
	return &request_at(t, slot)->left;
}

void locktable_get_left(
    const struct locktable *t, uint64_t terminal, uint64_t level, struct locktable_left *left)
{
	const struct left *l = left_of(t, terminal, level);

	*left = (struct locktable_left){0};
	if (!l)
		return;
	left->dirty = l->dirty;
	left->untold = l->untold;
	if (l->saved == SLOT_NONE)
		return;
	left->saved_size = saved_at(t, l->saved)->size;
	memcpy(left->saved, saved_at(t, l->saved)->bytes, left->saved_size);
}

bool locktable_set_left(
    struct locktable *t, uint64_t terminal, uint64_t level, const struct locktable_left *left)
{
	uint32_t saved = SLOT_NONE;

	if (left->saved_size > LOCKTABLE_SAVED_MAX)
		return false;
	if (left->saved_size > 0) {
		saved = slots_take(&t->saved);
		if (saved == SLOT_NONE)
			return false;
		saved_at(t, saved)->size = left->saved_size;
		memcpy(saved_at(t, saved)->bytes, left->saved, left->saved_size);
	}
	if (!level)
		records_get_terminal(t, terminal);
	struct left *l = left_of(t, terminal, level);
	if (!l) {
		if (saved != SLOT_NONE)
			slots_give(&t->saved, saved);
		return false;
	}
	if (l->saved != SLOT_NONE)
		slots_give(&t->saved, l->saved);
	*l = (struct left){.dirty = left->dirty, .untold = left->untold, .saved = saved};
	return true;
}

/* --- requests ---------------------------------------------------------- */

/* The holder before which a waiter stands: the youngest that is not younger than
 * the grant under which it asked. SLOT_NONE: it is in the terminal's own queue. */
static uint32_t holder_under(const struct locktable *t, const struct terminal *term, uint64_t under)
{
	uint32_t slot = term->holders.first;

	while (slot != SLOT_NONE && request_at(t, slot)->granted > under)
		slot = request_at(t, slot)->stack.next;
	return slot;
}

static void restore_holder(struct locktable *t, uint32_t slot, const struct locktable_place *place)
{
	struct request *r = request_at(t, slot);
	struct terminal *term = terminal_at(t, r->terminal_slot);

	r->holds = true;
	r->granted = place->granted;
	if (r->granted > t->last_grant)
		t->last_grant = r->granted;
	list_insert(t, &term->line, slot, term->line.first, link_line);
	list_insert(t, &term->holders, slot, term->holders.first, link_stack);
	list_insert(t, &owner_at(t, r->owner_slot)->holds, slot, SLOT_NONE, link_mine);
}

static void restore_waiter(struct locktable *t, uint32_t slot)
{
	struct request *r = request_at(t, slot);
	struct terminal *term = terminal_at(t, r->terminal_slot);

	list_insert(t, &term->line, slot, holder_under(t, term, r->under), link_line);
	list_insert(t, &owner_at(t, r->owner_slot)->waits, slot, SLOT_NONE, link_mine);
	term->n_waiters++;
}

bool locktable_knows(const struct locktable *t, const struct locktable_wish *wish, uint64_t id)
{
	uint32_t terminal = records_terminal(t, wish->terminal);

	if (!id || records_request(t, id) != SLOT_NONE)
		return true;
	for (uint32_t slot = records_task_first(t, wish->process, &wish->task); slot != SLOT_NONE;
	     slot = records_task_next(t, slot)) {
		if (request_at(t, slot)->terminal_slot == terminal)
			return true;
	}
	return false;
}

bool locktable_restore(struct locktable *t, const struct locktable_wish *wish, uint64_t id,
    const struct locktable_place *place, uint64_t asked)
{
	if (locktable_knows(t, wish, id))
		return false;
	uint32_t slot = records_add(t, wish, id, asked);
	if (slot == SLOT_NONE)
		return false;

	struct request *r = request_at(t, slot);
	r->under = place->under;
	r->rank = place->rank;
	if (r->rank < t->first_rank)
		t->first_rank = r->rank;
	/* Later grants must be above whatever is referred to. */
	if (r->under > t->last_grant)
		t->last_grant = r->under;
	if (place->granted)
		restore_holder(t, slot, place);
	else
		restore_waiter(t, slot);
	return true;
}

void locktable_skip_ids(struct locktable *t, uint64_t last)
{
	if (last > t->last_id)
		t->last_id = last;
}

bool locktable_reown(struct locktable *t, uint64_t request, uint64_t owner)
{
	uint32_t slot = records_request(t, request);

	return slot != SLOT_NONE && records_reown(t, slot, owner);
}
