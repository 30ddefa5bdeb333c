/* links: daemon/locktable.o daemon/locktable_view.o daemon/left.o daemon/restore.o daemon/records.o daemon/waitgraph.o daemon/slots.o */
/* links: tests/model/reference.o */
/* The lock table against its reference. Random operations; after each, both must
 * tell the same. Now and then the table is made anew from what its changes told
 * to keep, as after a restart. The seed is printed; TTYLOCK_MODEL_SEED sets it,
 * TTYLOCK_MODEL_STEPS the number of operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference.h"

enum { OWNERS = 24, TERMINALS = 5, MAX = REFERENCE_MAX, MAX_TERMINALS = 4 };

/* --- both -------------------------------------------------------------------- */

static struct locktable *table;
static uint64_t last_id, holds_seen, waits_seen, nested_seen, joined_seen, circles_seen;
static uint64_t moved_seen, unmoved_seen, restarts_seen;

static void grant_check(const struct locktable_grant *g, uint64_t id)
{
	assert_int_equal(g->request, id);
	if (!id)
		return;
	const struct plain *p = plain_find(id);
	struct level *base = plain_top(p->terminal) - 1;

	base->left.untold = false;
	assert_int_equal(g->owner, p->owner);
	assert_int_equal(g->waiters, plain_waiters(p->terminal));
	assert_int_equal(g->dirty, base->left.dirty);
	int saved = base->left.saved;
	assert_int_equal(g->saved_size, saved < 0 ? 0 : saved % (LOCKTABLE_SAVED_MAX + 1));
	for (size_t i = 0; i < g->saved_size; i++)
		assert_int_equal(g->saved[i], saved);
}

/* Keeps what a change tells to keep. */
static void keep(const struct locktable_change *c)
{
	if (c->left_changed)
		locktable_get_left(table, c->terminal, c->level,
		    c->level ? &plain_find(c->level)->left : &spot[c->terminal].kept);
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].id == c->request || plain[i].id == c->grant.request)
			assert_true(locktable_place(table, plain[i].id, &plain[i].place));
	}
}

static void plain_end(struct plain *p, enum locktable_end end, const struct locktable_change *c)
{
	uint64_t terminal = p->terminal, next;
	int at = plain_level(terminal, p->id);

	assert_int_equal(c->request, p->id);
	assert_int_equal(c->owner, p->owner);
	assert_int_equal(c->terminal, terminal);
	assert_int_equal(c->outcome, p->holds ? LOCKTABLE_RELEASED : LOCKTABLE_CANCELLED);
	joined_seen += at && spot[terminal].level[at].queued > 0;
	/* What a grant that ends below the topmost had on it stands on the level
	 * below now; nothing else of it is kept. */
	next = plain_remove(p, end);
	keep(c);
	grant_check(&c->grant, next);
	assert_int_equal(c->waiters, plain_waiters(terminal));
	assert_int_equal(c->idle, !plain_holder(terminal));
	assert_int_equal(c->kept, c->idle && spot[terminal].level[0].left.dirty);
}

static struct locktable_wish wish_random(void)
{
	struct locktable_wish w = {
	    .owner = 1 + (uint64_t)(rand() % OWNERS),
	    .terminal = 1 + (uint64_t)(rand() % TERMINALS),
	    .task = {.id = (uint64_t)(rand() % REFERENCE_TASKS)},
	    .nonblock = rand() % 8 == 0,
	};

	w.process = w.owner % REFERENCE_PROCESSES;
	snprintf(w.task.name, sizeof(w.task.name), "task %d", (int)w.task.id % 2);
	if (plain_count && rand() % 3 == 0)
		w.under = plain[rand() % plain_count].id;
	else if (plain_holder(w.terminal) && rand() % 3 == 0)
		w.under = spot[w.terminal].level[1 + rand() % spot[w.terminal].holders].grant;
	return w;
}

static enum locktable_outcome want_of(
    const struct locktable_wish *w, const struct plain *wish, int under)
{
	enum locktable_outcome want = plain_want(wish, under, w->nonblock);

	circles_seen += want == LOCKTABLE_DEADLOCK && plain_circle(wish, under);
	if (want <= LOCKTABLE_QUEUED &&
	    (plain_count == MAX ||
		(!plain_holder(w->terminal) && !spot[w->terminal].level[0].left.dirty &&
		    plain_terminals() == MAX_TERMINALS)))
		return LOCKTABLE_FULL;
	return want;
}

static void step_lock(void)
{
	struct locktable_change c;
	struct locktable_wish w = wish_random();
	struct plain new = {
	    .owner = w.owner, .process = w.process, .terminal = w.terminal, .task = w.task.id};
	int under = plain_level(w.terminal, w.under);
	uint64_t holder = plain_holder(w.terminal);
	enum locktable_outcome want = want_of(&w, &new, under);

	assert_int_equal(locktable_lock(table, &w, 0, &c), want);
	assert_int_equal(c.outcome, want);
	if (want != LOCKTABLE_FULL)
		assert_int_equal(c.holder, holder);
	if (want > LOCKTABLE_QUEUED)
		return;
	assert_true(c.request > last_id);
	assert_int_equal(c.under, under ? w.under : 0);
	last_id = new.id = c.request;
	new.saved = -1;
	uint32_t position = plain_add(&new, under, want == LOCKTABLE_GRANTED);
	keep(&c);
	holds_seen += want == LOCKTABLE_GRANTED;
	waits_seen += want == LOCKTABLE_QUEUED;
	nested_seen += under > 1;
	grant_check(&c.grant, want == LOCKTABLE_GRANTED ? new.id : 0);
	assert_int_equal(c.position, position);
}

static void step_release(void)
{
	struct locktable_change c;
	uint64_t id = plain_count && rand() % 16 ? plain[rand() % plain_count].id
						 : (uint64_t)rand() % (last_id + 1);
	struct plain *p = plain_find(id);
	enum locktable_end end = (enum locktable_end[]){
	    LOCKTABLE_CLEAN, LOCKTABLE_CLEAN, LOCKTABLE_UNTOUCHED, LOCKTABLE_DIRTY}[rand() % 4];
	enum locktable_outcome got = locktable_release(table, id, end, &c);

	if (p)
		plain_end(p, end, &c);
	else
		assert_int_equal(got, LOCKTABLE_NOT_FOUND);
}

static void step_serve_first(void)
{
	struct locktable_change c;
	uint64_t id = plain_count && rand() % 16 ? plain[rand() % plain_count].id
						 : (uint64_t)rand() % (last_id + 1);
	const struct plain *p = plain_find(id);
	uint32_t position = 0;
	bool moved = false;
	enum locktable_outcome want =
	    p ? plain_serve_first(p, &position, &moved) : LOCKTABLE_NOT_FOUND;

	assert_int_equal(locktable_serve_first(table, id, &c), want);
	assert_int_equal(c.outcome, want);
	assert_int_equal(c.grant.request, 0);
	moved_seen += moved;
	unmoved_seen += want == LOCKTABLE_DEADLOCK;
	if (!p)
		return;
	assert_int_equal(c.request, id);
	assert_int_equal(c.owner, p->owner);
	assert_int_equal(c.terminal, p->terminal);
	assert_int_equal(c.holder, plain_holder(p->terminal));
	assert_int_equal(c.waiters, plain_waiters(p->terminal) - !p->holds);
	if (want == LOCKTABLE_QUEUED) {
		assert_int_equal(c.position, position);
		keep(&c);
	}
}

static void step_death(void)
{
	struct locktable_change c;
	uint64_t owner = 1 + (uint64_t)(rand() % OWNERS);
	bool held = false;

	while (locktable_drop_owner(table, owner, &c)) {
		struct plain *p = plain_find(c.request);

		assert_non_null(p);
		assert_int_equal(p->owner, owner);
		/* No wait after a hold: or it would have been granted for nothing. */
		assert_false(held && !p->holds);
		held = held || p->holds;
		plain_end(p, LOCKTABLE_DIRTY, &c);
		assert_false(c.grant.request && c.grant.owner == owner);
	}
	for (int i = 0; i < plain_count; i++)
		assert_true(plain[i].owner != owner);
}

static void step_save(void)
{
	uint8_t saved[LOCKTABLE_SAVED_MAX + 1];
	uint64_t id = (uint64_t)rand() % (last_id + 1);
	if (plain_count && rand() % 16)
		id = plain[rand() % plain_count].id;
	struct plain *p = plain_find(id);
	int byte = rand() % 256;

	memset(saved, byte, sizeof(saved));
	bool got = locktable_save(table, id, saved, (size_t)(byte % (LOCKTABLE_SAVED_MAX + 1)));
	assert_int_equal(got, p && p->holds);
	if (got)
		spot[p->terminal].level[plain_level(p->terminal, id)].saved = p->saved =
		    byte % (LOCKTABLE_SAVED_MAX + 1) ? byte : -1;
	assert_false(locktable_save(table, id, saved, sizeof(saved)));
}

static void step_forget(void)
{
	uint64_t terminal = 1 + (uint64_t)(rand() % TERMINALS);
	bool want = spot[terminal].level[0].left.dirty && !plain_holder(terminal);

	assert_int_equal(locktable_forget(table, terminal), want);
	if (want) {
		spot[terminal].level[0].left.dirty = false;
		spot[terminal].level[0].left.untold = false;
		spot[terminal].level[0].left.saved = -1;
		spot[terminal].kept = (struct locktable_left){0};
	}
}

static int plain_compare(const void *a, const void *b)
{
	return restore_compare(
	    &(*(struct plain *const *)a)->place, &(*(struct plain *const *)b)->place);
}

static void restore_one(struct locktable *t, const struct plain *p)
{
	struct locktable_wish w = {
	    .owner = p->owner,
	    .process = p->process,
	    .terminal = p->terminal,
	    .task = {.id = p->task},
	};
	uint8_t saved[LOCKTABLE_SAVED_MAX];

	snprintf(w.task.name, sizeof(w.task.name), "task %d", (int)w.task.id % 2);
	assert_true(locktable_restore(t, &w, p->id, &p->place, 0));
	assert_false(locktable_restore(t, &w, p->id, &p->place, 0));
	if (p->saved < 0)
		return;
	memset(saved, p->saved, sizeof(saved));
	assert_true(
	    locktable_save(t, p->id, saved, (size_t)(p->saved % (LOCKTABLE_SAVED_MAX + 1))));
}

/* All that is not in plain.place and its like is forgotten. */
static void step_restart(void)
{
	struct locktable *t = locktable_new(MAX, MAX_TERMINALS, (uint64_t)rand());
	struct plain *order[MAX];
	struct locktable_change c;

	assert_non_null(t);
	for (uint64_t i = 1; i <= TERMINALS; i++) {
		if (spot[i].kept.dirty)
			assert_true(locktable_set_left(t, i, 0, &spot[i].kept));
	}
	for (int i = 0; i < plain_count; i++)
		order[i] = &plain[i];
	qsort(order, (size_t)plain_count, sizeof(*order), plain_compare);
	for (int i = 0; i < plain_count; i++)
		restore_one(t, order[i]);
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].holds)
			assert_true(
			    locktable_set_left(t, plain[i].terminal, plain[i].id, &plain[i].left));
	}
	locktable_skip_ids(t, last_id);
	for (uint64_t i = 1; i <= TERMINALS; i++)
		assert_false(locktable_serve(t, i, &c)); /* nothing was between two holders */
	locktable_free(table);
	table = t;
	restarts_seen++;
}

/* The next one of the walk is this one. */
static void walk(struct locktable_cursor *cursor, uint64_t id, uint32_t position)
{
	struct locktable_view v;
	const struct plain *p = plain_find(id);

	assert_true(locktable_next(table, cursor, &v));
	assert_int_equal(v.request, id);
	assert_int_equal(v.owner, p->owner);
	assert_int_equal(v.terminal, p->terminal);
	assert_int_equal(v.holds, position == 0);
	assert_int_equal(v.position, position);
	assert_int_equal(locktable_successor(table, id), plain_successor(p));
}

/* Everything that the table tells, against the reference. */
static void recount(void)
{
	struct locktable_cursor cursor = {0};
	struct locktable_view v;
	bool walked[TERMINALS + 1] = {false};

	assert_int_equal(locktable_requests(table), plain_count);
	assert_int_equal(locktable_terminals(table), plain_terminals());
	for (;;) {
		struct locktable_cursor peek = cursor;
		uint32_t position = 0;

		if (!locktable_next(table, &peek, &v))
			break;
		const struct spot *s = &spot[v.terminal];
		assert_false(walked[v.terminal]);
		walked[v.terminal] = true;
		for (int l = s->holders; l > 0; l--)
			walk(&cursor, s->level[l].grant, 0);
		for (int l = s->holders; l >= 0; l--) {
			for (int i = 0; i < s->level[l].queued; i++)
				walk(&cursor, s->level[l].queue[i], ++position);
		}
	}
	for (uint64_t t = 1; t <= TERMINALS; t++)
		assert_int_equal(walked[t], plain_holder(t) != 0);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s ? strtoul(s, NULL, 0) : otherwise;
}

static void random_operations(void **state)
{
	unsigned seed = (unsigned)number("TTYLOCK_MODEL_SEED", (unsigned long)time(NULL));
	unsigned long steps = number("TTYLOCK_MODEL_STEPS", 1000000);

	(void)state;
	print_message("TTYLOCK_MODEL_SEED=%u\n", seed);
	srand(seed);
	plain_reset();
	table = locktable_new(MAX, MAX_TERMINALS, seed);
	assert_non_null(table);
	for (unsigned long i = 0; i < steps; i++) {
		int dice = rand() % 100;
		/* In turns crowded, balanced and nearly empty. */
		int locks = (int[]){60, 45, 25}[i / 500 % 3];

		if (dice < locks)
			step_lock();
		else if (dice < locks + 4)
			step_serve_first();
		else if (dice < 88)
			step_release();
		else if (dice < 92)
			step_death();
		else if (dice < 98)
			step_save();
		else if (dice < 99 || rand() % 8)
			step_forget();
		else
			step_restart();
		if (i % 16 == 0)
			recount();
	}
	/* It was no idle walk: every way in was taken often. */
	assert_true(
	    steps < 1000 || (holds_seen > steps / 100 && waits_seen > steps / 100 &&
				nested_seen > steps / 200 && joined_seen > steps / 1000 &&
				circles_seen > steps / 1000 && moved_seen > steps / 1000 &&
				unmoved_seen > steps / 100000 && restarts_seen > steps / 10000));
	locktable_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
