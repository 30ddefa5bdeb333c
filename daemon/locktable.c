#include "locktable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "slots.h"

/* Lists run through the records by slot number. */
struct link {
	uint32_t prev, next;
};

struct list {
	uint32_t first, last;
};

struct request {
	uint64_t id, owner, process, asked;
	struct task_uid task;
	uint32_t terminal_slot, owner_slot;
	bool holds;
	struct link queue; // terminal.waiters
	struct link mine;  // owner.waits or owner.holds
};

struct terminal {
	uint64_t id;
	/* One holder today. A nested grant will push the new request here and
	 * remember the one below it; every hold ends in request_end alone. */
	uint32_t holder;
	struct list waiters;
	uint32_t n_waiters;
	bool dirty;
	uint8_t saved[LOCKTABLE_SAVED_MAX];
	size_t saved_size;
	struct link all; // locktable.all
};

struct owner {
	uint64_t id;
	struct list waits, holds;
};

struct locktable {
	struct slots requests, terminals, owners;
	struct slot_index request_by_id, request_by_task, terminal_by_id, owner_by_id;
	struct list all;
	uint64_t last_id, seed;
};

static const struct list list_empty = {SLOT_NONE, SLOT_NONE};

static struct request *request_at(const struct locktable *t, uint32_t slot)
{
	return slots_at(&t->requests, slot);
}

static struct terminal *terminal_at(const struct locktable *t, uint32_t slot)
{
	return slots_at(&t->terminals, slot);
}

static struct owner *owner_at(const struct locktable *t, uint32_t slot)
{
	return slots_at(&t->owners, slot);
}

/* --- lists ------------------------------------------------------------- */

typedef struct link *link_of(const struct locktable *t, uint32_t slot);

static struct link *link_queue(const struct locktable *t, uint32_t slot)
{
	return &request_at(t, slot)->queue;
}

static struct link *link_mine(const struct locktable *t, uint32_t slot)
{
	return &request_at(t, slot)->mine;
}

static struct link *link_all(const struct locktable *t, uint32_t slot)
{
	return &terminal_at(t, slot)->all;
}

static void list_append(struct locktable *t, struct list *l, uint32_t slot, link_of *of)
{
	*of(t, slot) = (struct link){.prev = l->last, .next = SLOT_NONE};
	if (l->last == SLOT_NONE)
		l->first = slot;
	else
		of(t, l->last)->next = slot;
	l->last = slot;
}

static void list_remove(struct locktable *t, struct list *l, uint32_t slot, link_of *of)
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

static uint64_t id_hash(const struct locktable *t, uint64_t id)
{
	return slot_hash(t->seed, id);
}

static uint64_t task_hash(
    const struct locktable *t, uint64_t process, uint64_t terminal, const struct task_uid *task)
{
	uint64_t h = slot_hash(slot_hash(slot_hash(t->seed, process), terminal), task->id);

	for (size_t i = 0; i < sizeof(task->name) && task->name[i]; i++)
		h = slot_hash(h, (unsigned char)task->name[i]);
	return h;
}

static uint32_t request_find(const struct locktable *t, uint64_t id)
{
	uint32_t slot = slot_index_first(&t->request_by_id, id_hash(t, id));

	while (slot != SLOT_NONE && request_at(t, slot)->id != id)
		slot = slot_index_next(&t->request_by_id, slot);
	return slot;
}

static uint32_t terminal_find(const struct locktable *t, uint64_t id)
{
	uint32_t slot = slot_index_first(&t->terminal_by_id, id_hash(t, id));

	while (slot != SLOT_NONE && terminal_at(t, slot)->id != id)
		slot = slot_index_next(&t->terminal_by_id, slot);
	return slot;
}

static uint32_t owner_find(const struct locktable *t, uint64_t id)
{
	uint32_t slot = slot_index_first(&t->owner_by_id, id_hash(t, id));

	while (slot != SLOT_NONE && owner_at(t, slot)->id != id)
		slot = slot_index_next(&t->owner_by_id, slot);
	return slot;
}

/* The request of this very task for this very terminal. */
static uint32_t task_find(const struct locktable *t, const struct locktable_wish *w)
{
	uint32_t slot =
	    slot_index_first(&t->request_by_task, task_hash(t, w->process, w->terminal, &w->task));

	for (; slot != SLOT_NONE; slot = slot_index_next(&t->request_by_task, slot)) {
		const struct request *r = request_at(t, slot);

		if (r->process == w->process && r->task.id == w->task.id &&
		    terminal_at(t, r->terminal_slot)->id == w->terminal &&
		    strncmp(r->task.name, w->task.name, sizeof(r->task.name)) == 0)
			break;
	}
	return slot;
}

/* --- making and ending records ----------------------------------------- */

static uint32_t terminal_get(struct locktable *t, uint64_t id)
{
	uint32_t slot = terminal_find(t, id);
	if (slot != SLOT_NONE)
		return slot;

	slot = slots_take(&t->terminals);
	if (slot == SLOT_NONE)
		return SLOT_NONE;
	if (slot_index_reserve(&t->terminal_by_id, t->terminals.cap) < 0) {
		slots_give(&t->terminals, slot);
		return SLOT_NONE;
	}
	struct terminal *term = terminal_at(t, slot);
	term->id = id;
	term->holder = SLOT_NONE;
	term->waiters = list_empty;
	slot_index_put(&t->terminal_by_id, id_hash(t, id), slot);
	list_append(t, &t->all, slot, link_all);
	return slot;
}

static bool terminal_idle(const struct terminal *term)
{
	return term->holder == SLOT_NONE && term->n_waiters == 0;
}

static void terminal_end(struct locktable *t, uint32_t slot)
{
	slot_index_remove(&t->terminal_by_id, slot);
	list_remove(t, &t->all, slot, link_all);
	slots_give(&t->terminals, slot);
}

static uint32_t owner_get(struct locktable *t, uint64_t id)
{
	uint32_t slot = owner_find(t, id);
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

/* A request that neither holds nor waits yet, with its terminal and owner; or
 * SLOT_NONE, and nothing changed. */
static uint32_t request_new(struct locktable *t, const struct locktable_wish *w, uint64_t now)
{
	uint32_t slot = slots_take(&t->requests);
	if (slot == SLOT_NONE)
		return SLOT_NONE;

	uint32_t owner = SLOT_NONE, terminal = SLOT_NONE;
	if (slot_index_reserve(&t->request_by_id, t->requests.cap) == 0 &&
	    slot_index_reserve(&t->request_by_task, t->requests.cap) == 0 &&
	    (owner = owner_get(t, w->owner)) != SLOT_NONE)
		terminal = terminal_get(t, w->terminal);
	if (terminal == SLOT_NONE) {
		if (owner != SLOT_NONE)
			owner_end_if_idle(t, owner);
		slots_give(&t->requests, slot);
		return SLOT_NONE;
	}

	struct request *r = request_at(t, slot);
	r->id = ++t->last_id;
	r->owner = w->owner;
	r->process = w->process;
	r->asked = now;
	r->task = w->task;
	r->terminal_slot = terminal;
	r->owner_slot = owner;
	slot_index_put(&t->request_by_id, id_hash(t, r->id), slot);
	slot_index_put(&t->request_by_task, task_hash(t, w->process, w->terminal, &w->task), slot);
	return slot;
}

/* Makes a request that is in no list the holder, and tells of it. */
static void request_hold(struct locktable *t, uint32_t slot, struct locktable_grant *grant)
{
	struct request *r = request_at(t, slot);
	struct terminal *term = terminal_at(t, r->terminal_slot);

	assert(term->holder == SLOT_NONE);
	term->holder = slot;
	r->holds = true;
	list_append(t, &owner_at(t, r->owner_slot)->holds, slot, link_mine);

	*grant = (struct locktable_grant){
	    .request = r->id,
	    .owner = r->owner,
	    .waiters = term->n_waiters,
	    .dirty = term->dirty,
	    .saved_size = term->saved_size,
	};
	memcpy(grant->saved, term->saved, term->saved_size);
}

static void request_wait(struct locktable *t, uint32_t slot)
{
	struct request *r = request_at(t, slot);
	struct terminal *term = terminal_at(t, r->terminal_slot);

	list_append(t, &term->waiters, slot, link_queue);
	term->n_waiters++;
	list_append(t, &owner_at(t, r->owner_slot)->waits, slot, link_mine);
}

static void request_unwait(struct locktable *t, uint32_t slot)
{
	struct request *r = request_at(t, slot);
	struct terminal *term = terminal_at(t, r->terminal_slot);

	list_remove(t, &term->waiters, slot, link_queue);
	term->n_waiters--;
	list_remove(t, &owner_at(t, r->owner_slot)->waits, slot, link_mine);
}

/* Takes the terminal from its holder and gives it to the first waiter. What an
 * earlier dead holder left stays until somebody releases in good order. */
static void terminal_pass_on(
    struct locktable *t, struct request *r, enum locktable_end end, struct locktable_grant *grant)
{
	struct terminal *term = terminal_at(t, r->terminal_slot);

	list_remove(t, &owner_at(t, r->owner_slot)->holds, term->holder, link_mine);
	term->holder = SLOT_NONE;
	term->dirty = end == LOCKTABLE_DIRTY;
	if (end == LOCKTABLE_CLEAN)
		term->saved_size = 0;

	uint32_t next = term->waiters.first;
	if (next != SLOT_NONE) {
		request_unwait(t, next);
		request_hold(t, next, grant);
	}
}

static void request_end(
    struct locktable *t, uint32_t slot, enum locktable_end end, struct locktable_change *change)
{
	struct request *r = request_at(t, slot);
	uint32_t terminal_slot = r->terminal_slot;
	struct terminal *term = terminal_at(t, terminal_slot);

	*change = (struct locktable_change){
	    .outcome = r->holds ? LOCKTABLE_RELEASED : LOCKTABLE_CANCELLED,
	    .request = r->id,
	    .owner = r->owner,
	    .terminal = term->id,
	};
	if (r->holds)
		terminal_pass_on(t, r, end, &change->grant);
	else
		request_unwait(t, slot);

	change->waiters = term->n_waiters;
	change->idle = terminal_idle(term);
	change->kept = change->idle && term->dirty;
	owner_end_if_idle(t, r->owner_slot);
	slot_index_remove(&t->request_by_id, slot);
	slot_index_remove(&t->request_by_task, slot);
	slots_give(&t->requests, slot);
	if (change->idle && !change->kept)
		terminal_end(t, terminal_slot);
}

/* --- public ------------------------------------------------------------ */

struct locktable *locktable_new(uint32_t max_requests, uint32_t max_terminals, uint64_t seed)
{
	struct locktable *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;

	slots_init(&t->requests, sizeof(struct request), max_requests);
	slots_init(&t->terminals, sizeof(struct terminal), max_terminals);
	slots_init(&t->owners, sizeof(struct owner), max_requests);
	slot_index_init(&t->request_by_id);
	slot_index_init(&t->request_by_task);
	slot_index_init(&t->terminal_by_id);
	slot_index_init(&t->owner_by_id);
	t->all = list_empty;
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
	slot_index_deinit(&t->request_by_id);
	slot_index_deinit(&t->request_by_task);
	slot_index_deinit(&t->terminal_by_id);
	slot_index_deinit(&t->owner_by_id);
	free(t);
}

/* Why the wish cannot be queued or granted, told without changing anything; 0
 * when it can. */
static enum locktable_outcome wish_refusal(
    const struct locktable *t, const struct locktable_wish *wish, struct locktable_change *change)
{
	uint32_t terminal = terminal_find(t, wish->terminal);
	if (terminal == SLOT_NONE)
		return 0;

	const struct terminal *term = terminal_at(t, terminal);
	change->waiters = term->n_waiters;
	if (term->holder != SLOT_NONE)
		change->holder = request_at(t, term->holder)->id;

	uint32_t first = task_find(t, wish);
	if (first != SLOT_NONE) {
		change->first = request_at(t, first)->id;
		return LOCKTABLE_DEADLOCK;
	}
	return wish->nonblock && term->holder != SLOT_NONE ? LOCKTABLE_BUSY : 0;
}

enum locktable_outcome locktable_lock(struct locktable *t, const struct locktable_wish *wish,
    uint64_t now, struct locktable_change *change)
{
	*change = (struct locktable_change){.owner = wish->owner, .terminal = wish->terminal};
	change->outcome = wish_refusal(t, wish, change);
	if (change->outcome)
		return change->outcome;

	uint32_t slot = request_new(t, wish, now);
	if (slot == SLOT_NONE)
		return change->outcome = LOCKTABLE_FULL;

	const struct terminal *term = terminal_at(t, request_at(t, slot)->terminal_slot);
	change->request = request_at(t, slot)->id;
	if (term->holder == SLOT_NONE) {
		request_hold(t, slot, &change->grant);
		return change->outcome = LOCKTABLE_GRANTED;
	}
	request_wait(t, slot);
	change->position = term->n_waiters;
	return change->outcome = LOCKTABLE_QUEUED;
}

enum locktable_outcome locktable_release(
    struct locktable *t, uint64_t request, enum locktable_end end, struct locktable_change *change)
{
	uint32_t slot = request_find(t, request);

	if (slot == SLOT_NONE) {
		*change =
		    (struct locktable_change){.outcome = LOCKTABLE_NOT_FOUND, .request = request};
		return LOCKTABLE_NOT_FOUND;
	}
	request_end(t, slot, end, change);
	return change->outcome;
}

static uint32_t owned_first(const struct locktable *t, uint64_t owner)
{
	uint32_t slot = owner_find(t, owner);
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

bool locktable_save(struct locktable *t, uint64_t request, const void *saved, size_t size)
{
	uint32_t slot = request_find(t, request);

	if (slot == SLOT_NONE || !request_at(t, slot)->holds || size > LOCKTABLE_SAVED_MAX)
		return false;
	struct terminal *term = terminal_at(t, request_at(t, slot)->terminal_slot);
	memcpy(term->saved, saved, size);
	term->saved_size = size;
	return true;
}

bool locktable_forget(struct locktable *t, uint64_t terminal)
{
	uint32_t slot = terminal_find(t, terminal);

	if (slot == SLOT_NONE || !terminal_idle(terminal_at(t, slot)))
		return false;
	terminal_end(t, slot);
	return true;
}

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
	uint32_t slot = request_find(t, request);

	if (slot == SLOT_NONE)
		return false;
	view_fill(t, slot, view);
	return true;
}

uint64_t locktable_first_waiter(const struct locktable *t, uint64_t terminal)
{
	uint32_t slot = terminal_find(t, terminal);

	if (slot == SLOT_NONE || terminal_at(t, slot)->waiters.first == SLOT_NONE)
		return 0;
	return request_at(t, terminal_at(t, slot)->waiters.first)->id;
}

uint32_t locktable_requests(const struct locktable *t)
{
	return t->requests.used;
}

uint32_t locktable_terminals(const struct locktable *t)
{
	return t->terminals.used;
}

bool locktable_next(
    const struct locktable *t, struct locktable_cursor *c, struct locktable_view *view)
{
	if (!c->started)
		*c = (struct locktable_cursor){
		    .terminal = t->all.first, .request = SLOT_NONE, .started = true};

	while (c->terminal != SLOT_NONE) {
		const struct terminal *term = terminal_at(t, c->terminal);

		if (c->request == SLOT_NONE)
			c->request = term->holder;
		else if (request_at(t, c->request)->holds)
			c->request = term->waiters.first;
		else
			c->request = request_at(t, c->request)->queue.next;

		if (c->request != SLOT_NONE) {
			view_fill(t, c->request, view);
			c->position = view->holds ? 0 : c->position + 1;
			view->position = c->position;
			return true;
		}
		c->terminal = term->all.next;
		c->position = 0;
	}
	return false;
}
