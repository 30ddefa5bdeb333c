/* links: daemon/locktable.o daemon/records.o daemon/waitgraph.o daemon/slots.o */
/* The lock table against a reference that is too simple to be wrong: an array of
 * requests in order of asking. Random operations; after each, both must tell the
 * same. The seed is printed; TTYLOCK_MODEL_SEED sets it, TTYLOCK_MODEL_STEPS the
 * number of operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/locktable.h"

enum { OWNERS = 24, PROCESSES = 16, TERMINALS = 5, TASKS = 4, MAX = 64, MAX_TERMINALS = 4 };

/* --- the reference --------------------------------------------------------- */

struct plain {
	uint64_t id, owner, process, terminal, task;
	bool holds;
};

static struct plain plain[MAX]; /* in order of asking */
static int plain_count;
static struct {
	bool dirty;
	int saved; /* -1: none; else the byte it is filled with */
} left[TERMINALS + 1];

static struct plain *plain_find(uint64_t id)
{
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].id == id)
			return &plain[i];
	}
	return NULL;
}

static struct plain *plain_holder(uint64_t terminal)
{
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].terminal == terminal && plain[i].holds)
			return &plain[i];
	}
	return NULL;
}

static struct plain *plain_next(uint64_t terminal)
{
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].terminal == terminal && !plain[i].holds)
			return &plain[i];
	}
	return NULL;
}

static int plain_waiters(uint64_t terminal)
{
	int n = 0;

	for (int i = 0; i < plain_count; i++)
		n += plain[i].terminal == terminal && !plain[i].holds;
	return n;
}

static int plain_terminals(void)
{
	int n = 0;

	for (uint64_t t = 1; t <= TERMINALS; t++)
		n += left[t].dirty || plain_holder(t);
	return n;
}

/* --- both -------------------------------------------------------------------- */

static struct locktable *table;
static uint64_t last_id, holds_seen, waits_seen;

static void grant_check(const struct locktable_grant *g, const struct plain *p)
{
	assert_int_equal(g->request, p ? p->id : 0);
	if (!p)
		return;
	assert_int_equal(g->owner, p->owner);
	assert_int_equal(g->waiters, plain_waiters(p->terminal));
	assert_int_equal(g->dirty, left[p->terminal].dirty);
	int saved = left[p->terminal].saved;
	assert_int_equal(g->saved_size, saved < 0 ? 0 : saved % (LOCKTABLE_SAVED_MAX + 1));
	for (size_t i = 0; i < g->saved_size; i++)
		assert_int_equal(g->saved[i], saved);
}

static void plain_end(struct plain *p, bool clean, const struct locktable_change *c)
{
	uint64_t terminal = p->terminal;
	bool held = p->holds;

	assert_int_equal(c->request, p->id);
	assert_int_equal(c->owner, p->owner);
	assert_int_equal(c->terminal, terminal);
	assert_int_equal(c->outcome, held ? LOCKTABLE_RELEASED : LOCKTABLE_CANCELLED);
	memmove(p, p + 1, (size_t)(&plain[--plain_count] - p) * sizeof(*p));
	struct plain *next = NULL;
	if (held) {
		left[terminal].dirty = !clean;
		if (clean)
			left[terminal].saved = -1;
		next = plain_next(terminal);
		if (next)
			next->holds = true;
	}
	grant_check(&c->grant, next);
	assert_int_equal(c->waiters, plain_waiters(terminal));
	assert_int_equal(c->idle, !plain_holder(terminal));
	assert_int_equal(c->kept, c->idle && left[terminal].dirty);
}

static void step_lock(void)
{
	struct locktable_change c;
	struct locktable_wish w = {
	    .owner = 1 + (uint64_t)(rand() % OWNERS),
	    .terminal = 1 + (uint64_t)(rand() % TERMINALS),
	    .task = {.id = (uint64_t)(rand() % TASKS)},
	    .nonblock = rand() % 8 == 0,
	};
	w.process = w.owner % PROCESSES;
	snprintf(w.task.name, sizeof(w.task.name), "task %d", (int)w.task.id % 2);

	struct plain *holder = plain_holder(w.terminal);
	enum locktable_outcome want = holder ? LOCKTABLE_QUEUED : LOCKTABLE_GRANTED;
	if (plain_count == MAX ||
	    (!holder && !left[w.terminal].dirty && plain_terminals() == MAX_TERMINALS))
		want = LOCKTABLE_FULL;
	if (w.nonblock && holder)
		want = LOCKTABLE_BUSY;
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].process == w.process && plain[i].terminal == w.terminal &&
		    plain[i].task == w.task.id)
			want = LOCKTABLE_DEADLOCK;
	}

	assert_int_equal(locktable_lock(table, &w, 0, &c), want);
	assert_int_equal(c.outcome, want);
	if (want > LOCKTABLE_QUEUED)
		return;
	assert_true(c.request > last_id);
	last_id = c.request;
	plain[plain_count++] = (struct plain){.id = c.request,
	    .owner = w.owner,
	    .process = w.process,
	    .terminal = w.terminal,
	    .task = w.task.id,
	    .holds = want == LOCKTABLE_GRANTED};
	grant_check(&c.grant, want == LOCKTABLE_GRANTED ? &plain[plain_count - 1] : NULL);
	if (want == LOCKTABLE_QUEUED)
		assert_int_equal(c.position, plain_waiters(w.terminal));
	holds_seen += want == LOCKTABLE_GRANTED;
	waits_seen += want == LOCKTABLE_QUEUED;
}

static void step_release(void)
{
	struct locktable_change c;
	uint64_t id = plain_count && rand() % 16 ? plain[rand() % plain_count].id
						 : (uint64_t)rand() % (last_id + 1);
	struct plain *p = plain_find(id);
	bool clean = rand() % 4 != 0;
	enum locktable_outcome got =
	    locktable_release(table, id, clean ? LOCKTABLE_CLEAN : LOCKTABLE_DIRTY, &c);

	if (p)
		plain_end(p, clean, &c);
	else
		assert_int_equal(got, LOCKTABLE_NOT_FOUND);
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
		plain_end(p, false, &c);
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
		left[p->terminal].saved = byte;
	assert_false(locktable_save(table, id, saved, sizeof(saved)));
}

static void step_forget(void)
{
	uint64_t terminal = 1 + (uint64_t)(rand() % TERMINALS);
	bool want = left[terminal].dirty && !plain_holder(terminal);

	assert_int_equal(locktable_forget(table, terminal), want);
	if (want) {
		left[terminal].dirty = false;
		left[terminal].saved = -1;
	}
}

/* Everything that the table tells, against the reference. */
static void recount(void)
{
	struct locktable_cursor cursor = {0};
	struct locktable_view v;
	int seen = 0;
	uint64_t terminal = 0;
	uint32_t position = 0;
	bool walked[TERMINALS + 1] = {false};

	assert_int_equal(locktable_requests(table), plain_count);
	assert_int_equal(locktable_terminals(table), plain_terminals());
	while (locktable_next(table, &cursor, &v)) {
		struct plain *p = plain_find(v.request);

		assert_non_null(p);
		assert_int_equal(v.owner, p->owner);
		assert_int_equal(v.holds, p->holds);
		if (v.terminal != terminal) {
			assert_false(walked[v.terminal]);
			walked[v.terminal] = true;
			assert_true(v.holds); /* and nowhere else: one holder */
			position = 0;
		} else {
			assert_false(v.holds);
			position++;
		}
		assert_int_equal(v.position, position);
		terminal = v.terminal;
		seen++;
	}
	assert_int_equal(seen, plain_count);
	for (uint64_t t = 1; t <= TERMINALS; t++) {
		struct plain *next = plain_next(t);

		assert_int_equal(locktable_first_waiter(table, t), next ? next->id : 0);
	}
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
	for (int t = 0; t <= TERMINALS; t++)
		left[t].saved = -1;
	table = locktable_new(MAX, MAX_TERMINALS, seed);
	assert_non_null(table);
	for (unsigned long i = 0; i < steps; i++) {
		int dice = rand() % 100;
		/* In turns crowded, balanced and nearly empty. */
		int locks = (int[]){60, 45, 25}[i / 500 % 3];

		if (dice < locks)
			step_lock();
		else if (dice < 88)
			step_release();
		else if (dice < 92)
			step_death();
		else if (dice < 98)
			step_save();
		else
			step_forget();
		if (i % 16 == 0)
			recount();
	}
	/* It was no idle walk: both ways in were taken often. */
	assert_true(steps < 1000 || (holds_seen > steps / 100 && waits_seen > steps / 100));
	locktable_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
