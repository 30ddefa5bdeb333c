/* links: daemon/locktable.o daemon/locktable_view.o daemon/left.o daemon/records.o daemon/waitgraph.o daemon/slots.o */
/* Nested grants in the lock table: who is on top, who follows, what is told. */
#include "tests/unit/table.h"

/* The whole of terminal 1, as it would be shown: numbers, 0 at the end. */
static void shown(const uint64_t *want, int holders)
{
	struct locktable_cursor c = {0};
	struct locktable_view v;
	uint32_t position = 0;

	for (int i = 0; want[i]; i++) {
		assert_true(locktable_next(table, &c, &v));
		assert_int_equal(v.request, want[i]);
		assert_int_equal(v.holds, i < holders);
		position += i >= holders;
		assert_int_equal(v.position, position);
	}
	assert_false(locktable_next(table, &c, &v));
}
#define SHOWN(holders, ...) shown((const uint64_t[]){__VA_ARGS__, 0}, holders)

static void nested_is_granted_on_top(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0);
	assert_int_equal(change.under, 0);
	uint64_t w = queued(2, 1, 0);
	assert_int_equal(change.under, 0);
	uint64_t b = granted(3, 1, a);
	assert_int_equal(change.under, a);
	assert_int_equal(change.grant.waiters, 1);
	assert_int_equal(change.holder, a);
	uint64_t c = granted(4, 1, b);
	SHOWN(3, c, b, a, w);
	queued(5, 1, 0);
	assert_int_equal(change.holder, c);
	assert_int_equal(change.position, 2);
	end(change.request, 0);
	/* Last in, first out; the outer ones go on with nothing being told. */
	end(c, 0);
	assert_false(change.idle);
	end(b, 0);
	SHOWN(1, a, w);
	end(a, w);
}

static void under_nothing_is_ignored(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 77);	   /* no such request */
	uint64_t other = granted(2, 2, a); /* another terminal's */
	uint64_t w = queued(3, 1, other);
	assert_int_equal(change.under, 0);
	queued(4, 1, w); /* one that waits */
	assert_int_equal(change.under, 0);
	assert_int_equal(change.position, 2);
	end(a, w);
	queued(5, 1, a); /* one that has ended */
	assert_int_equal(change.under, 0);
	assert_int_equal(change.position, 2);
}

static void nested_waiters_go_before_others(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), w = queued(2, 1, 0), b = granted(3, 1, a);
	uint64_t a1 = queued(4, 1, a);
	assert_int_equal(change.position, 1);
	assert_int_equal(change.holder, b);
	uint64_t a2 = queued(5, 1, a);
	assert_int_equal(change.position, 2);
	assert_int_equal(change.waiters, 1 + 1); /* w and a1 */
	SHOWN(2, b, a, a1, a2, w);
	assert_int_equal(locktable_successor(table, b), a1);
	assert_int_equal(locktable_successor(table, a), 0);
	assert_int_equal(locktable_successor(table, a1), 0);
	end(b, a1);
	assert_int_equal(change.waiters, 2);
	end(a1, a2);
	assert_int_equal(locktable_successor(table, a2), 0);
	end(a2, 0);
	assert_int_equal(locktable_successor(table, a), w);
	end(a, w);
}

static void ends_below_join_the_queue_in_front(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(2, 1, a), c = granted(3, 1, b);
	uint64_t w = queued(4, 1, 0), a1 = queued(5, 1, a), b1 = queued(6, 1, b);
	uint64_t b2 = queued(7, 1, b), a2 = queued(8, 1, a);

	assert_int_equal(change.position, 4);
	SHOWN(3, c, b, a, b1, b2, a1, a2, w);
	end(b, 0); /* its own go to a's queue, before a1 */
	SHOWN(2, c, a, b1, b2, a1, a2, w);
	end(a, 0); /* and to the terminal's, before w */
	SHOWN(1, c, b1, b2, a1, a2, w);
	end(c, b1);
	end(b1, b2);
	end(a1, 0); /* one of them leaves */
	end(b2, a2);
	end(a2, w);
}

/* Three on top of each other, with a waiter under each but the topmost: only the
 * topmost's end grants anything, whatever has ended below it before. */
static void any_order_of_ends(void **state)
{
	static const int orders[6][3] = {
	    {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (int i = 0; i < 12; i++) {
		const int *order = orders[i / 2];
		uint64_t a = granted(1, 1, 0), b = granted(2, 1, a), c = granted(3, 1, b);
		uint64_t grants[] = {a, b, c};
		uint64_t w = queued(4, 1, 0), a1 = queued(5, 1, a), b1 = queued(6, 1, b);

		for (int j = 0; j < 3; j++)
			end_as(grants[order[j]], i % 2 ? LOCKTABLE_DIRTY : LOCKTABLE_CLEAN,
			    grants[order[j]] == c ? b1 : 0);
		SHOWN(1, b1, a1, w);
		end(b1, a1);
		end(a1, w);
		end(w, 0);
		locktable_forget(table, 1);
	}
}

static void owner_death_at_each_depth(void **state)
{
	(void)state;
	for (int depth = 0; depth < 3; depth++) {
		uint64_t g[3], w[3];

		for (int i = 0; i < 3; i++)
			g[i] = granted((uint64_t)i + 1, 1, i ? g[i - 1] : 0);
		for (int i = 0; i < 2; i++)
			w[i] = queued((uint64_t)i + 5, 1, g[i]);
		w[2] = queued(7, 1, 0);
		assert_true(locktable_drop_owner(table, (uint64_t)depth + 1, &change));
		assert_int_equal(change.outcome, LOCKTABLE_RELEASED);
		assert_int_equal(change.request, g[depth]);
		assert_int_equal(change.grant.request, depth == 2 ? w[1] : 0);
		assert_false(locktable_drop_owner(table, (uint64_t)depth + 1, &change));
		for (uint64_t task = 1; task < 8; task++) {
			while (locktable_drop_owner(table, task, &change))
				continue;
		}
		assert_int_equal(locktable_requests(table), 0);
		assert_true(locktable_forget(table, 1));
	}
}

/* An owner with several levels and a wait: nothing of its own is granted. */
static void owner_of_many_levels_dies(void **state)
{
	struct locktable_wish w = wish(1, 1, 0);

	(void)state;
	uint64_t a = granted(1, 1, 0);
	w.task.id = 2;
	w.under = a;
	locktable_lock(table, &w, 0, &change);
	uint64_t b = granted(5, 1, change.request);
	w.task.id = 3;
	w.under = b;
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_GRANTED);
	w.task.id = 4;
	w.under = a;
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_QUEUED);
	uint64_t last = queued(6, 1, 0);
	while (locktable_drop_owner(table, 1, &change))
		assert_int_equal(change.grant.request, 0);
	SHOWN(1, b, last);
	end(b, last);
}

static void double_lock_is_a_deadlock_when_nested_too(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(2, 1, a);

	lock(1, 1, a, LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, a);
	lock(1, 1, b, LOCKTABLE_DEADLOCK);
	lock(2, 1, b, LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, b);
	uint64_t w = queued(3, 1, a);
	lock(3, 1, b, LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, w);
	SHOWN(2, b, a, w);
}

static void nonblock_nested(void **state)
{
	struct locktable_wish w = wish(3, 1, 0);

	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(2, 1, a);
	w.nonblock = true;
	w.under = a; /* b stands between */
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_BUSY);
	assert_int_equal(change.holder, b);
	w.under = b;
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_GRANTED);
}

/* --- what the dead leave behind ------------------------------------------ */

static void save(uint64_t request, const char *text)
{
	assert_true(locktable_save(table, request, text, strlen(text)));
}

static void told(const char *text)
{
	assert_true(change.grant.request);
	assert_int_equal(change.grant.dirty, text != NULL);
	assert_int_equal(change.grant.saved_size, text ? strlen(text) : 0);
	if (text)
		assert_memory_equal(change.grant.saved, text, strlen(text));
}

static void state_belongs_to_each_grant(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0);
	save(a, "outer");
	uint64_t b = granted(2, 1, a);
	told(NULL);
	save(b, "inner");
	uint64_t a1 = queued(3, 1, a), w = queued(4, 1, 0);
	/* The inner one dies: the next on the same grant mends it. */
	end_as(b, LOCKTABLE_DIRTY, a1);
	told("inner");
	end(a1, 0);
	uint64_t a2 = granted(5, 1, a);
	told(NULL);
	end(a2, 0);
	end_as(a, LOCKTABLE_DIRTY, w);
	told("outer");
}

static void clean_end_of_the_outer_mends_the_inner(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(2, 1, a), w = queued(3, 1, 0);
	save(b, "inner");
	end_as(b, LOCKTABLE_DIRTY, 0);
	end(a, w);
	told(NULL);
	end(w, 0);
	assert_true(change.idle && !change.kept);
}

static void both_dead_the_outer_state_counts(void **state)
{
	(void)state;
	for (int inner_first = 0; inner_first < 2; inner_first++) {
		for (int saves = 0; saves < 4; saves++) {
			uint64_t a = granted(1, 1, 0), b = granted(2, 1, a);
			uint64_t w = queued(3, 1, 0);

			if (saves & 1)
				save(a, "outer");
			if (saves & 2)
				save(b, "inner");
			end_as(inner_first ? b : a, LOCKTABLE_DIRTY, 0);
			end_as(inner_first ? a : b, LOCKTABLE_DIRTY, w);
			told((const char *[]){"", "outer", "inner", "outer"}[saves]);
			end(w, 0);
			assert_true(change.idle && !change.kept);
		}
	}
}

/* Who is on top goes on, brings back what it found, and that was the dead one's. */
static void death_below_outlives_the_one_on_top(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(2, 1, a);
	save(a, "outer");
	save(b, "inner");
	end_as(a, LOCKTABLE_DIRTY, 0);
	uint64_t c = granted(3, 1, b); /* on b's level nothing is left */
	told(NULL);
	end(c, 0);
	end(b, 0);
	assert_true(change.idle && change.kept);
	uint64_t d = granted(4, 1, 0);
	told("outer");
	end(d, 0);
	assert_true(change.idle && !change.kept);
}

static void mess_below_the_top_reaches_the_level_below(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(2, 1, a);
	save(b, "inner");
	end_as(b, LOCKTABLE_DIRTY, 0);
	uint64_t c = granted(3, 1, a);
	told("inner");
	end(a, 0); /* c is to mend that; it dies instead */
	uint64_t w = queued(4, 1, 0);
	end_as(c, LOCKTABLE_DIRTY, w);
	told("inner");
}

static void left(bool changed, uint64_t level)
{
	assert_int_equal(change.left_changed, changed);
	assert_int_equal(change.level, level);
}

/* Whoever keeps it over a restart is told when it changes, and where. */
static void what_is_left_is_told_of(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0);
	left(false, 0);
	uint64_t b = granted(2, 1, a);
	left(false, a);
	end(b, 0);
	left(false, a);
	b = granted(2, 1, a);
	end_as(b, LOCKTABLE_DIRTY, 0);
	left(true, a);
	b = granted(2, 1, a); /* told, and to mend it */
	left(false, a);
	end(b, 0);
	left(true, a);
	/* One dies below another: nobody was told of that yet. */
	b = granted(2, 1, a);
	uint64_t c = granted(3, 1, b);
	end_as(b, LOCKTABLE_DIRTY, 0);
	left(true, a);
	end(c, 0);
	left(false, a);
	b = granted(2, 1, a);
	left(true, a);
	assert_true(change.grant.dirty);
	end_as(a, LOCKTABLE_DIRTY, 0);
	left(true, 0);
	end(b, 0);
	left(false, 0);
	assert_true(change.kept);
	a = granted(1, 1, 0);
	left(true, 0);
	end(a, 0);
	left(true, 0);
	a = granted(1, 1, 0);
	left(false, 0);
	uint64_t w = queued(4, 1, 0);
	end(w, 0);
	left(false, 0);
}

static void nothing_saved_is_nothing(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), w = queued(2, 1, 0);

	save(a, "once");
	save(a, "");
	end_as(a, LOCKTABLE_DIRTY, w);
	assert_true(change.grant.dirty);
	assert_int_equal(change.grant.saved_size, 0);
}

/* A grant on top, so that there is one holder to walk past. */
static void far_back_is_the_last_of_all(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0);

	granted(2, 1, a);
	queued(3, 1, 0);
	for (uint32_t i = 1; i <= LOCKTABLE_COUNTED + 2; i++) {
		queued(10 + i, 1, a);
		assert_int_equal(change.position, i < LOCKTABLE_COUNTED ? i : i + 1);
		assert_int_equal(change.waiters, i);
	}
}

static void deep_and_wide_costs_nothing(void **state)
{
	enum { N = 5000 };
	static uint64_t g[N], w[N];
	double start = seconds();

	(void)state;
	for (int i = 0; i < N; i++) {
		g[i] = granted(10 * (uint64_t)i, 1, i ? g[i - 1] : 0);
		if (i)
			w[i] = queued(10 * (uint64_t)i + 1, 1, g[i - 1]);
	}
	/* Many under one. */
	for (int i = 0; i < N; i++)
		queued(10 * (uint64_t)i + 2, 1, g[0]);
	for (int i = 1; i < N - 1; i += 2)
		end(g[i], 0);
	for (int i = 0; i < N - 1; i += 2)
		end(g[i], 0);
	end(g[N - 1], w[N - 1]);
	for (int i = N - 1; i > 1; i--)
		end(w[i], w[i - 1]);
	assert_int_equal(locktable_requests(table), N + 1);
	assert_true(seconds() - start < 1.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(nested_is_granted_on_top),
	    TEST(under_nothing_is_ignored),
	    TEST(nested_waiters_go_before_others),
	    TEST(ends_below_join_the_queue_in_front),
	    TEST(any_order_of_ends),
	    TEST(owner_death_at_each_depth),
	    TEST(owner_of_many_levels_dies),
	    TEST(double_lock_is_a_deadlock_when_nested_too),
	    TEST(nonblock_nested),
	    TEST(state_belongs_to_each_grant),
	    TEST(clean_end_of_the_outer_mends_the_inner),
	    TEST(both_dead_the_outer_state_counts),
	    TEST(death_below_outlives_the_one_on_top),
	    TEST(mess_below_the_top_reaches_the_level_below),
	    TEST(what_is_left_is_told_of),
	    TEST(nothing_saved_is_nothing),
	    TEST(far_back_is_the_last_of_all),
	    TEST(deep_and_wide_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
