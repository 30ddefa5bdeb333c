#include "waitgraph.h"

struct search {
	struct locktable *t;
	const struct locktable_wish *wish;
	uint32_t before; /* where the wish is to stand */
	uint64_t number;
	uint32_t todo; // by next_seen: whose tasks are to be followed
};

/* Everybody from slot to the head of its line. True when the wish's own task is
 * among them. Who was seen before, was seen with all before him. */
static bool see_line(struct search *s, uint32_t slot)
{
	while (slot != SLOT_NONE) {
		struct request *r = request_at(s->t, slot);

		if (slot == s->before || task_is_same(r, s->wish->process, &s->wish->task))
			return true;
		if (r->seen == s->number)
			return false;
		r->seen = s->number;
		r->next_seen = s->todo;
		s->todo = slot;
		slot = r->line.prev;
	}
	return false;
}

/* Everybody for whom a task waits; slot is the first of its requests. */
static bool follow_task(struct search *s, uint32_t slot)
{
	for (; slot != SLOT_NONE; slot = records_task_next(s->t, slot)) {
		struct request *r = request_at(s->t, slot);

		if (r->holds)
			continue;
		if (r->followed == s->number)
			return false; /* so have been the others */
		r->followed = s->number;
		if (see_line(s, r->line.prev))
			return true;
	}
	return false;
}

/* Whether anybody stands behind one of a task's requests. */
static bool task_is_awaited(const struct locktable *t, uint32_t slot)
{
	for (; slot != SLOT_NONE; slot = records_task_next(t, slot)) {
		if (request_at(t, slot)->line.next != SLOT_NONE)
			return true;
	}
	return false;
}

/* From the task whose first request is `own`, and from all that were seen already. */
static bool reaches_itself(struct search *s, uint32_t own)
{
	uint32_t slot = own;

	while (!follow_task(s, slot)) {
		if (s->todo == SLOT_NONE)
			return false;
		const struct request *r = request_at(s->t, s->todo);

		s->todo = r->next_seen;
		slot = records_task_first(s->t, r->process, &r->task);
	}
	return true;
}

bool waitgraph_has_circle(struct locktable *t, uint32_t slot)
{
	const struct request *r = request_at(t, slot);
	struct locktable_wish wish = {.process = r->process, .task = r->task};
	struct search s = {
	    .t = t, .wish = &wish, .before = SLOT_NONE, .todo = SLOT_NONE, .number = ++t->searches};

	return reaches_itself(&s, records_task_first(t, r->process, &r->task));
}

bool waitgraph_closes(
    struct locktable *t, const struct locktable_wish *wish, uint32_t terminal, uint32_t before)
{
	uint32_t own = records_task_first(t, wish->process, &wish->task);
	struct search s = {.t = t, .wish = wish, .before = before, .todo = SLOT_NONE};

	/* One that has nothing else is in no circle: who stands behind it, stands
	 * behind all that it stands behind, and had closed the circle before. */
	if (own == SLOT_NONE || (before == SLOT_NONE && !task_is_awaited(t, own)))
		return false;

	s.number = ++t->searches;
	/* It is not among those itself: the second request of a task for one terminal
	 * is refused before this. */
	see_line(&s, before == SLOT_NONE ? terminal_at(t, terminal)->line.last
					 : request_at(t, before)->line.prev);
	return reaches_itself(&s, own);
}
