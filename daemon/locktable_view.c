/* What the lock table tells of requests, changing nothing. */
#include "locktable.h"
#include "records.h"

static void view_fill(const struct locktable *t, uint32_t slot, struct locktable_view *view)
{
	const struct request *r = request_at(t, slot);

	*view = (struct locktable_view){
	    .request = r->id,
	    .owner = r->owner,
	    .process = r->process,
	    .terminal = terminal_at(t, r->terminal_slot)->id,
	    .task = r->task,
	    .asked = r->asked,
	    .holds = r->holds,
	    .position = r->holds ? 0 : UINT32_MAX,
	};
}

bool locktable_find(const struct locktable *t, uint64_t request, struct locktable_view *view)
{
	uint32_t slot = records_request(t, request);

	if (slot == SLOT_NONE)
		return false;
	view_fill(t, slot, view);
	return true;
}

uint64_t locktable_successor(const struct locktable *t, uint64_t request)
{
	uint32_t slot = records_request(t, request);

	if (slot == SLOT_NONE || request_at(t, slot)->line.prev != SLOT_NONE)
		return 0;
	uint32_t next = request_at(t, slot)->line.next;
	return next == SLOT_NONE || request_at(t, next)->holds ? 0 : request_at(t, next)->id;
}

uint32_t locktable_requests(const struct locktable *t)
{
	return t->requests.used;
}

uint32_t locktable_terminals(const struct locktable *t)
{
	return t->terminals.used;
}

/* From slot on, past those that hold: they have been shown before. */
static uint32_t next_waiter(const struct locktable *t, uint32_t slot)
{
	while (slot != SLOT_NONE && request_at(t, slot)->holds)
		slot = request_at(t, slot)->line.next;
	return slot;
}

bool locktable_next(
    const struct locktable *t, struct locktable_cursor *c, struct locktable_view *view)
{
	if (!c->started)
		*c = (struct locktable_cursor){
		    .terminal = t->all.first, .request = SLOT_NONE, .started = true};

	while (c->terminal != SLOT_NONE) {
		const struct terminal *term = terminal_at(t, c->terminal);
		const struct request *r =
		    c->request == SLOT_NONE ? NULL : request_at(t, c->request);

		if (!r)
			c->request = term->holders.first;
		else if (r->holds && r->stack.next != SLOT_NONE)
			c->request = r->stack.next;
		else
			c->request = next_waiter(t, r->holds ? term->line.first : r->line.next);

		if (c->request != SLOT_NONE) {
			view_fill(t, c->request, view);
			c->position = view->holds ? 0 : c->position + 1;
			view->position = c->position;
			return true;
		}
		c->terminal = term->all.next;
	}
	return false;
}
