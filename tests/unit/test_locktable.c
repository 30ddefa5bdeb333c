/* links: daemon/locktable.o daemon/locktable_view.o daemon/left.o daemon/records.o daemon/waitgraph.o daemon/slots.o -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
/* The lock table alone: who gets a terminal, in which order, and what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/locktable.h"

/* --- allocation that fails on demand ------------------------------------- */

static long allocations_left = -1; /* -1: no limit */

static bool may_allocate(void)
{
	if (allocations_left < 0)
		return true;
	if (allocations_left == 0)
		return false;
	allocations_left--;
	return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	return may_allocate() ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t m)
{
	return may_allocate() ? __real_calloc(n, m) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
	return may_allocate() ? __real_realloc(p, n) : NULL;
}

/* --- shorthand ----------------------------------------------------------- */

static struct locktable *table;
static struct locktable_change change;

static int setup(void **state)
{
	(void)state;
	table = locktable_new(20000, 1000, 42);
	return table ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	locktable_free(table);
	return 0;
}

static struct locktable_wish wish(uint64_t owner, uint64_t terminal, uint64_t task)
{
	return (struct locktable_wish){
	    .owner = owner,
	    .process = owner + 1000,
	    .terminal = terminal,
	    .task = {.name = "t", .id = task},
	};
}

static enum locktable_outcome lock_in(struct locktable *t, uint64_t owner, uint64_t terminal)
{
	struct locktable_wish w = wish(owner, terminal, 0);

	return locktable_lock(t, &w, 0, &change);
}

static enum locktable_outcome lock(uint64_t owner, uint64_t terminal, uint64_t task)
{
	struct locktable_wish w = wish(owner, terminal, task);

	return locktable_lock(table, &w, 7, &change);
}

static enum locktable_outcome release(uint64_t request)
{
	return locktable_release(table, request, LOCKTABLE_CLEAN, &change);
}

/* --- tests --------------------------------------------------------------- */

static void first_come_first_served(void **state)
{
	uint64_t id[5];

	(void)state;
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(lock(i + 1, 9, 0), i ? LOCKTABLE_QUEUED : LOCKTABLE_GRANTED);
		id[i] = change.request;
		assert_int_equal(change.position, i);
		assert_int_equal(change.holder, i ? id[0] : 0);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(release(id[i]), LOCKTABLE_RELEASED);
		assert_int_equal(change.owner, i + 1);
		assert_int_equal(change.terminal, 9);
		assert_int_equal(change.grant.request, i < 4 ? id[i + 1] : 0);
		assert_int_equal(change.grant.owner, i < 4 ? i + 2 : 0);
		assert_int_equal(change.grant.waiters, i < 4 ? 3 - i : 0);
		assert_int_equal(change.idle, i == 4);
	}
	assert_int_equal(locktable_requests(table), 0);
	assert_int_equal(locktable_terminals(table), 0);
}

static void terminals_are_apart(void **state)
{
	(void)state;
	assert_int_equal(lock(1, 1, 0), LOCKTABLE_GRANTED);
	assert_int_equal(lock(2, 2, 0), LOCKTABLE_GRANTED);
	assert_int_equal(lock(1, 2, 0), LOCKTABLE_QUEUED);
}

static void nonblock_is_refused_busy(void **state)
{
	struct locktable_wish w = wish(2, 1, 0);

	(void)state;
	lock(1, 1, 0);
	uint64_t holder = change.request;
	w.nonblock = true;
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_BUSY);
	assert_int_equal(change.holder, holder);
	assert_int_equal(change.request, 0);
	assert_int_equal(locktable_requests(table), 1);
	release(holder);
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_GRANTED);
}

static void double_lock_is_a_deadlock(void **state)
{
	(void)state;
	lock(1, 1, 5);
	uint64_t first = change.request;
	assert_int_equal(lock(1, 1, 5), LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, first);
	/* Another task of the process may wait; but not twice either. */
	assert_int_equal(lock(1, 1, 6), LOCKTABLE_QUEUED);
	uint64_t waits = change.request;
	assert_int_equal(lock(1, 1, 6), LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, waits);
	/* The name counts, the terminal counts, and the process does. */
	struct locktable_wish w = wish(1, 1, 5);
	strcpy(w.task.name, "other");
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_QUEUED);
	assert_int_equal(lock(1, 2, 5), LOCKTABLE_GRANTED);
	assert_int_equal(lock(2, 1, 5), LOCKTABLE_QUEUED);
	/* A second connection of the same process is the same task. */
	w = wish(3, 1, 5);
	w.process = 1001;
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_DEADLOCK);
	/* The first request was not touched. */
	assert_int_equal(release(first), LOCKTABLE_RELEASED);
	assert_int_equal(change.grant.request, waits);
	assert_int_equal(lock(1, 1, 5), LOCKTABLE_QUEUED);
}

static void cancel_leaves_the_order(void **state)
{
	uint64_t id[4];

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		lock(i + 1, 1, 0);
		id[i] = change.request;
	}
	assert_int_equal(release(id[2]), LOCKTABLE_CANCELLED);
	assert_int_equal(change.grant.request, 0);
	assert_int_equal(release(id[2]), LOCKTABLE_NOT_FOUND);
	release(id[0]);
	assert_int_equal(change.grant.request, id[1]);
	release(id[1]);
	assert_int_equal(change.grant.request, id[3]);
}

static void owner_death_drops_waits_first(void **state)
{
	(void)state;
	lock(1, 1, 0);
	uint64_t hold = change.request;
	lock(1, 1, 1);
	uint64_t wait = change.request;
	lock(2, 1, 0);
	uint64_t other = change.request;

	assert_int_equal(locktable_owned(table, 1), wait);
	assert_true(locktable_drop_owner(table, 1, &change));
	assert_int_equal(change.outcome, LOCKTABLE_CANCELLED);
	assert_int_equal(change.request, wait);
	assert_true(locktable_drop_owner(table, 1, &change));
	assert_int_equal(change.outcome, LOCKTABLE_RELEASED);
	assert_int_equal(change.request, hold);
	assert_int_equal(change.grant.request, other);
	assert_true(change.grant.dirty);
	assert_false(locktable_drop_owner(table, 1, &change));
	assert_int_equal(locktable_owned(table, 1), 0);
}

static void saved_state_survives_deaths_until_a_release(void **state)
{
	(void)state;
	lock(1, 1, 0);
	assert_false(change.grant.dirty);
	assert_true(locktable_save(table, change.request, "abc", 3));
	lock(2, 1, 0);
	assert_false(locktable_save(table, change.request, "x", 1)); /* it only waits */
	lock(3, 1, 0);
	lock(4, 1, 0);

	for (uint64_t dead = 1; dead <= 2; dead++) {
		locktable_drop_owner(table, dead, &change);
		assert_int_equal(change.grant.owner, dead + 1);
		assert_true(change.grant.dirty);
		assert_int_equal(change.grant.saved_size, 3);
		assert_memory_equal(change.grant.saved, "abc", 3);
	}
	release(change.grant.request);
	assert_int_equal(change.grant.owner, 4);
	assert_false(change.grant.dirty);
	assert_int_equal(change.grant.saved_size, 0);
}

static void dirty_terminal_is_kept_until_forgotten(void **state)
{
	uint8_t big[LOCKTABLE_SAVED_MAX + 1] = {0};

	(void)state;
	lock(1, 1, 0);
	assert_false(locktable_save(table, change.request, big, sizeof(big)));
	assert_true(locktable_save(table, change.request, big, sizeof(big) - 1));
	assert_false(locktable_forget(table, 1)); /* in use */
	locktable_drop_owner(table, 1, &change);
	assert_true(change.idle && change.kept);
	assert_int_equal(locktable_terminals(table), 1);

	lock(2, 1, 0);
	assert_true(change.grant.dirty);
	assert_int_equal(change.grant.saved_size, LOCKTABLE_SAVED_MAX);
	locktable_release(table, change.request, LOCKTABLE_DIRTY, &change);
	assert_true(change.kept);
	assert_true(locktable_forget(table, 1));
	assert_false(locktable_forget(table, 1));
	assert_int_equal(locktable_terminals(table), 0);
	lock(2, 1, 0);
	assert_false(change.grant.dirty);
}

static void walk_gives_holders_before_waiters(void **state)
{
	struct locktable_cursor c = {0};
	struct locktable_view v;
	static const struct {
		uint64_t terminal, owner;
		uint32_t position;
	} want[] = {{1, 1, 0}, {1, 3, 1}, {1, 4, 2}, {3, 2, 0}, {3, 5, 1}};

	(void)state;
	lock(1, 1, 0);
	lock(9, 2, 0);
	lock(2, 3, 0);
	lock(3, 1, 0);
	lock(4, 1, 0);
	lock(5, 3, 0);
	locktable_drop_owner(table, 9, &change); /* terminal 2: dirty, nobody there */
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		assert_true(locktable_next(table, &c, &v));
		assert_int_equal(v.terminal, want[i].terminal);
		assert_int_equal(v.owner, want[i].owner);
		assert_int_equal(v.position, want[i].position);
		assert_int_equal(v.holds, want[i].position == 0);
		assert_int_equal(v.asked, 7);
	}
	assert_false(locktable_next(table, &c, &v));
}

static void full_is_a_refusal(void **state)
{
	struct locktable *t = locktable_new(2, 1, 0);
	struct locktable_wish w = wish(1, 1, 0), other = wish(1, 2, 0);

	(void)state;
	assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_GRANTED);
	assert_int_equal(locktable_lock(t, &other, 0, &change), LOCKTABLE_FULL);
	w.task.id = 1;
	assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_QUEUED);
	w.task.id = 2;
	assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_FULL);
	assert_int_equal(locktable_requests(t), 2);
	assert_int_equal(locktable_terminals(t), 1);
	/* Refusals leave nothing behind that fills the table. */
	while (locktable_drop_owner(t, 1, &change))
		continue;
	lock_in(t, 1, 1);
	for (uint64_t owner = 2; owner < 10; owner++)
		assert_int_equal(lock_in(t, owner, 2), LOCKTABLE_FULL);
	assert_int_equal(lock_in(t, 10, 1), LOCKTABLE_QUEUED);
	locktable_free(t);
}

/* Each allocation on the way fails once: a refusal that changes nothing. */
static void no_memory_is_a_refusal(void **state)
{
	(void)state;
	for (long n = 0; n < 40; n++) {
		uint32_t granted = 0;

		allocations_left = -1;
		struct locktable *t = locktable_new(1000, 1000, 0);
		allocations_left = n;
		for (uint64_t i = 1; i <= 100; i++) {
			struct locktable_wish w = wish(i, i % 40, 0);

			if (locktable_lock(t, &w, 0, &change) != LOCKTABLE_FULL)
				granted++;
			assert_int_equal(locktable_requests(t), granted);
		}
		allocations_left = -1;
		struct locktable_cursor c = {0};
		struct locktable_view v;
		while (locktable_next(t, &c, &v))
			granted--;
		assert_int_equal(granted, 0);
		for (uint64_t i = 1; i <= 100; i++)
			while (locktable_drop_owner(t, i, &change))
				continue;
		assert_int_equal(locktable_requests(t), 0);
		locktable_free(t);
	}
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* 10,000 waiters; leaving from the middle, the end and the front costs the same.
 * A walk of the queue at each step would take 10^8 steps, many seconds. */
static void many_waiters_cost_nothing(void **state)
{
	enum { N = 10000 };
	static uint64_t id[N];
	double start = seconds();

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		lock(i, 1, 0);
		id[i] = change.request;
	}
	assert_int_equal(locktable_requests(table), N);
	for (int i = N - 1; i > 0; i -= 2)
		assert_int_equal(release(id[i]), LOCKTABLE_CANCELLED);
	for (int i = 0; i < N; i += 2)
		assert_int_equal(release(id[i]), LOCKTABLE_RELEASED);
	assert_int_equal(locktable_requests(table), 0);
	assert_true(seconds() - start < 1.0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(first_come_first_served),
	    TEST(terminals_are_apart),
	    TEST(nonblock_is_refused_busy),
	    TEST(double_lock_is_a_deadlock),
	    TEST(cancel_leaves_the_order),
	    TEST(owner_death_drops_waits_first),
	    TEST(saved_state_survives_deaths_until_a_release),
	    TEST(dirty_terminal_is_kept_until_forgotten),
	    TEST(walk_gives_holders_before_waiters),
	    TEST(full_is_a_refusal),
	    TEST(no_memory_is_a_refusal),
	    TEST(many_waiters_cost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
