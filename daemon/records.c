#include "records.h"

#include <stdlib.h>
#include <string.h>

static const struct list list_empty = {SLOT_NONE, SLOT_NONE};
static const struct left left_nothing = {.saved = SLOT_NONE};

/* --- lists ------------------------------------------------------------- */

struct link *link_line(const struct locktable *t, uint32_t slot)
{
	return &request_at(t, slot)->line;
}

struct link *link_stack(const struct locktable *t, uint32_t slot)
{
	return &request_at(t, slot)->stack;
}

struct link *link_mine(const struct locktable *t, uint32_t slot)
{
	return &request_at(t, slot)->mine;
}

static struct link *link_all(const struct locktable *t, uint32_t slot)
{
	return &terminal_at(t, slot)->all;
}

void list_insert(struct locktable *t, struct list *l, uint32_t slot, uint32_t before, link_of *of)
{
	uint32_t prev = before == SLOT_NONE ? l->last : of(t, before)->prev;

	*of(t, slot) = (struct link){.prev = prev, .next = before};
	if (prev == SLOT_NONE)
		l->first = slot;
	else
		of(t, prev)->next = slot;
	if (before == SLOT_NONE)
		l->last = slot;
	else
		of(t, before)->prev = slot;
}

void list_remove(struct locktable *t, struct list *l, uint32_t slot, link_of *of)
{
	struct link k = *of(t, slot);

	if (k.prev == SLOT_NONE)
		l->first = k.next;
	else
		of(t, k.prev)->next = k.next;
	if (k.next == SLOT_NONE)
		l->last = k.prev;
	else
		of(t, k.next)->prev = k.prev;
}

/* --- finding ----------------------------------------------------------- */

/* No two numbers have the same, since every step of slot_hash can be undone: who
 * has the hash, is the one. */
static uint64_t id_hash(const struct locktable *t, uint64_t id)
{
	return slot_hash(t->seed, id);
}

static uint64_t task_hash(const struct locktable *t, uint64_t process, const struct task_uid *task)
{
	uint64_t h = slot_hash(slot_hash(t->seed, process), task->id);

	for (size_t i = 0; i < sizeof(task->name) && task->name[i]; i++)
		h = slot_hash(h, (unsigned char)task->name[i]);
	return h;
}

uint32_t records_request(const struct locktable *t, uint64_t id)
{
	return slot_index_first(&t->request_by_id, id_hash(t, id));
}

uint32_t records_terminal(const struct locktable *t, uint64_t id)
{
	return slot_index_first(&t->terminal_by_id, id_hash(t, id));
}

uint32_t records_owner(const struct locktable *t, uint64_t id)
{
	return slot_index_first(&t->owner_by_id, id_hash(t, id));
}

bool task_is_same(const struct request *r, uint64_t process, const struct task_uid *task)
{
	return r->process == process && r->task.id == task->id &&
	       strncmp(r->task.name, task->name, sizeof(r->task.name)) == 0;
}

static uint32_t task_skip(
    const struct locktable *t, uint32_t slot, uint64_t process, const struct task_uid *task)
{
	while (slot != SLOT_NONE && !task_is_same(request_at(t, slot), process, task))
		slot = slot_index_next(&t->request_by_task, slot);
	return slot;
}

uint32_t records_task_first(
    const struct locktable *t, uint64_t process, const struct task_uid *task)
{
	uint32_t slot = slot_index_first(&t->request_by_task, task_hash(t, process, task));

	return task_skip(t, slot, process, task);
}

uint32_t records_task_next(const struct locktable *t, uint32_t slot)
{
	const struct request *r = request_at(t, slot);

	return task_skip(t, slot_index_next(&t->request_by_task, slot), r->process, &r->task);
}

/* --- making and ending ------------------------------------------------- */

struct locktable *locktable_new(uint32_t max_requests, uint32_t max_terminals, uint64_t seed)
{
	struct locktable *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;

	slots_init(&t->requests, sizeof(struct request), max_requests);
	slots_init(&t->terminals, sizeof(struct terminal), max_terminals);
	slots_init(&t->owners, sizeof(struct owner), max_requests);
	/* One for each holder and one for each level. */
	slots_init(&t->saved, sizeof(struct saved), 2 * max_requests + max_terminals);
	slot_index_init(&t->request_by_id);
	slot_index_init(&t->request_by_task);
	slot_index_init(&t->terminal_by_id);
	slot_index_init(&t->owner_by_id);
	t->all = (struct list){SLOT_NONE, SLOT_NONE};
	t->seed = seed;
	return t;
}

void locktable_free(struct locktable *t)
{
	if (!t)
		return;
	slots_deinit(&t->requests);
	slots_deinit(&t->terminals);
	slots_deinit(&t->owners);
	slots_deinit(&t->saved);
	slot_index_deinit(&t->request_by_id);
	slot_index_deinit(&t->request_by_task);
	slot_index_deinit(&t->terminal_by_id);
	slot_index_deinit(&t->owner_by_id);
	free(t);
}

uint32_t records_get_terminal(struct locktable *t, uint64_t id)
{
	uint32_t slot = records_terminal(t, id);
	if (slot != SLOT_NONE)
		return slot;

	slot = slots_take(&t->terminals);
	if (slot == SLOT_NONE)
		return SLOT_NONE;
	if (slot_index_reserve(&t->terminal_by_id, t->terminals.cap) < 0) {
		slots_give(&t->terminals, slot);
		return SLOT_NONE;
	}
	*terminal_at(t, slot) = (struct terminal){
	    .id = id, .line = list_empty, .holders = list_empty, .left = left_nothing};
	slot_index_put(&t->terminal_by_id, id_hash(t, id), slot);
	list_insert(t, &t->all, slot, SLOT_NONE, link_all);
	return slot;
}

void records_remove_terminal(struct locktable *t, uint32_t slot)
{
	slot_index_remove(&t->terminal_by_id, slot);
	list_remove(t, &t->all, slot, link_all);
	slots_give(&t->terminals, slot);
}

static uint32_t owner_get(struct locktable *t, uint64_t id)
{
	uint32_t slot = records_owner(t, id);
	if (slot != SLOT_NONE)
		return slot;

	slot = slots_take(&t->owners);
	if (slot == SLOT_NONE)
		return SLOT_NONE;
	if (slot_index_reserve(&t->owner_by_id, t->owners.cap) < 0) {
		slots_give(&t->owners, slot);
		return SLOT_NONE;
	}
	*owner_at(t, slot) = (struct owner){.id = id, .waits = list_empty, .holds = list_empty};
	slot_index_put(&t->owner_by_id, id_hash(t, id), slot);
	return slot;
}

static void owner_end_if_idle(struct locktable *t, uint32_t slot)
{
	const struct owner *o = owner_at(t, slot);

	if (o->waits.first != SLOT_NONE || o->holds.first != SLOT_NONE)
		return;
	slot_index_remove(&t->owner_by_id, slot);
	slots_give(&t->owners, slot);
}

uint32_t records_add(struct locktable *t, const struct locktable_wish *w, uint64_t id, uint64_t now)
{
	uint32_t slot = slots_take(&t->requests);
	if (slot == SLOT_NONE)
		return SLOT_NONE;

	uint32_t owner = SLOT_NONE, terminal = SLOT_NONE;
	if (slot_index_reserve(&t->request_by_id, t->requests.cap) == 0 &&
	    slot_index_reserve(&t->request_by_task, t->requests.cap) == 0 &&
	    (owner = owner_get(t, w->owner)) != SLOT_NONE)
		terminal = records_get_terminal(t, w->terminal);
	if (terminal == SLOT_NONE) {
		if (owner != SLOT_NONE)
			owner_end_if_idle(t, owner);
		slots_give(&t->requests, slot);
		return SLOT_NONE;
	}

	if (!id)
		id = t->last_id + 1;
	if (id > t->last_id)
		t->last_id = id;
	struct request *r = request_at(t, slot);
	*r = (struct request){
	    .id = id,
	    .rank = (int64_t)id,
	    .owner = w->owner,
	    .process = w->process,
	    .asked = now,
	    .task = w->task,
	    .terminal_slot = terminal,
	    .owner_slot = owner,
	    .saved = SLOT_NONE,
	    .left = left_nothing,
	};
	slot_index_put(&t->request_by_id, id_hash(t, r->id), slot);
	slot_index_put(&t->request_by_task, task_hash(t, w->process, &w->task), slot);
	return slot;
}

bool records_reown(struct locktable *t, uint32_t slot, uint64_t owner)
{
	uint32_t to = owner_get(t, owner);
	struct request *r = request_at(t, slot);

	if (to == SLOT_NONE)
		return false;
	struct owner *o = owner_at(t, r->owner_slot);
	list_remove(t, r->holds ? &o->holds : &o->waits, slot, link_mine);
	owner_end_if_idle(t, r->owner_slot);
	r->owner = owner;
	r->owner_slot = to;
	o = owner_at(t, to);
	list_insert(t, r->holds ? &o->holds : &o->waits, slot, SLOT_NONE, link_mine);
	return true;
}

struct left *records_level(const struct locktable *t, const struct request *r)
{
	if (r->stack.next != SLOT_NONE)
		return &request_at(t, r->stack.next)->left;
	return &terminal_at(t, r->terminal_slot)->left;
}

void records_remove(struct locktable *t, uint32_t slot)
{
	owner_end_if_idle(t, request_at(t, slot)->owner_slot);
	slot_index_remove(&t->request_by_id, slot);
	slot_index_remove(&t->request_by_task, slot);
	slots_give(&t->requests, slot);
}
