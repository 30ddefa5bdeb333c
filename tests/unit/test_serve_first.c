/* links: daemon/locktable.o daemon/locktable_view.o daemon/left.o daemon/records.o daemon/waitgraph.o daemon/slots.o */
/* A waiter is moved to the head of its queue. */
#include "tests/unit/table.h"

static void serve_first(uint64_t request, enum locktable_outcome expected, uint32_t position)
{
	assert_int_equal(locktable_serve_first(table, request, &change), expected);
	assert_int_equal(change.outcome, expected);
	assert_int_equal(change.request, request);
	assert_int_equal(change.grant.request, 0);
	assert_int_equal(change.position, position);
}

static void the_last_comes_first(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = queued(20, 1, 0), c = queued(30, 1, 0),
		 d = queued(40, 1, 0);

	serve_first(d, LOCKTABLE_QUEUED, 1);
	assert_int_equal(change.holder, a);
	assert_int_equal(change.waiters, 2);
	assert_int_equal(locktable_successor(table, a), d);
	end(a, d);
	end(d, b);
	end(b, c);
	end(c, 0);
}

static void the_first_stays(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = queued(20, 1, 0), c = queued(30, 1, 0);

	serve_first(b, LOCKTABLE_QUEUED, 1);
	end(a, b);
	end(b, c);
}

static void twice_is_the_other_way_round(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = queued(20, 1, 0), c = queued(30, 1, 0);

	serve_first(c, LOCKTABLE_QUEUED, 1);
	serve_first(b, LOCKTABLE_QUEUED, 1);
	end(a, b);
	end(b, c);
}

static void a_holder_and_nobody(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = queued(20, 1, 0);

	serve_first(a, LOCKTABLE_GRANTED, 0);
	serve_first(b + 1, LOCKTABLE_NOT_FOUND, 0);
	end(a, b);
}

/* Before those under the same grant, never before those under another one. */
static void in_its_own_queue(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(20, 1, a), c = granted(90, 1, b);
	uint64_t outer1 = queued(30, 1, 0), outer2 = queued(40, 1, 0);
	uint64_t mid1 = queued(50, 1, a), mid2 = queued(60, 1, a);
	uint64_t top1 = queued(70, 1, b), top2 = queued(80, 1, b);

	serve_first(outer2, LOCKTABLE_QUEUED, 5);
	serve_first(mid2, LOCKTABLE_QUEUED, 3);
	serve_first(top2, LOCKTABLE_QUEUED, 1);
	end(c, top2);
	end(top2, top1);
	end(top1, 0);
	end(b, mid2);
	end(mid2, mid1);
	end(mid1, 0);
	end(a, outer2);
	end(outer2, outer1);
	end(outer1, 0);
}

/* Its grant has ended below others: it waits in the queue of the next one now. */
static void when_its_grant_has_ended(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(20, 1, a), c = granted(30, 1, b);
	uint64_t outer = queued(40, 1, 0), under_a = queued(50, 1, a);
	uint64_t under_b1 = queued(60, 1, b), under_b2 = queued(70, 1, b);

	end(b, 0);
	serve_first(under_a, LOCKTABLE_QUEUED, 1);
	serve_first(under_b2, LOCKTABLE_QUEUED, 1);
	end(a, 0);
	serve_first(outer, LOCKTABLE_QUEUED, 1);
	end(c, outer);
	end(outer, under_b2);
	end(under_b2, under_a);
	end(under_a, under_b1);
	end(under_b1, 0);
}

/* Task 30 holds Y and is first for X; task 20 wants both: moved before it at X,
 * each would wait for the other. */
static void not_into_a_circle(void **state)
{
	(void)state;
	uint64_t x = granted(1, 1, 0), y = granted(30, 2, 0);
	uint64_t first = queued(30, 1, 0), second = queued(20, 1, 0);
	uint64_t also = queued(20, 2, 0);

	serve_first(second, LOCKTABLE_DEADLOCK, 0);
	serve_first(also, LOCKTABLE_QUEUED, 1);
	/* Nothing has changed. */
	end(x, first);
	end(first, second);
	end(y, also);
	end(also, 0);
	end(second, 0);
}

static void its_owner_may_die(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = queued(20, 1, 0);

	queued(30, 1, 0);
	serve_first(change.request, LOCKTABLE_QUEUED, 1);
	assert_true(locktable_drop_owner(table, 30, &change));
	end(a, b);
	end(b, 0);
}

/* A walk of the queue at each step would take 10^8 steps, many seconds. */
static void among_many_waiters_it_costs_nothing(void **state)
{
	enum { N = 10000 };
	static uint64_t id[N];
	double start = seconds();

	(void)state;
	uint64_t holder = granted(1, 1, 0);
	for (uint64_t i = 0; i < N; i++)
		id[i] = queued(100 + 10 * i, 1, 0);
	for (int i = 0; i < N; i++)
		serve_first(id[i], LOCKTABLE_QUEUED, 1);
	for (int i = N - 1; i >= 0; i--) {
		end(holder, id[i]);
		holder = id[i];
	}
	assert_true(seconds() - start < 1.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_last_comes_first),
	    TEST(the_first_stays),
	    TEST(twice_is_the_other_way_round),
	    TEST(a_holder_and_nobody),
	    TEST(in_its_own_queue),
	    TEST(when_its_grant_has_ended),
	    TEST(not_into_a_circle),
	    TEST(its_owner_may_die),
	    TEST(among_many_waiters_it_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
