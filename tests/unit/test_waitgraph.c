/* links: daemon/locktable.o daemon/locktable_view.o daemon/left.o daemon/records.o daemon/waitgraph.o daemon/slots.o */
/* Tasks that would wait for each other's terminals for ever: the last request of
 * the circle is refused, and nothing else is. */
#include "tests/unit/table.h"

static void refused(uint64_t task, uint64_t terminal, uint64_t under)
{
	uint32_t requests = locktable_requests(table);

	lock(task, terminal, under, LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, 0);
	assert_int_equal(change.request, 0);
	assert_int_equal(locktable_requests(table), requests);
}

static void two_tasks(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(20, 2, 0), b1 = queued(20, 1, 0);

	refused(1, 2, 0);
	assert_int_equal(change.holder, b);
	/* The others are untouched; and it is free to go back and ask again. */
	end(a, b1);
	uint64_t a2 = queued(1, 2, 0);
	end(b1, 0);
	end(b, a2);
}

static void three_tasks(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 3; i++)
		granted(10 * i, i, 0);
	queued(10, 2, 0);
	queued(20, 3, 0);
	refused(30, 1, 0);
	/* Somebody with nothing else may stand anywhere. */
	for (uint64_t i = 1; i <= 3; i++)
		queued(40, i, 0);
}

static void many_steps(void **state)
{
	enum { N = 900 };

	(void)state;
	for (uint64_t i = 1; i <= N; i++)
		granted(10 * i, i, 0);
	for (uint64_t i = 1; i < N; i++)
		queued(10 * i, i + 1, 0);
	refused(10 * N, 1, 0);
	refused(10 * N, N / 2, 0);
}

static void tasks_of_one_process_are_apart(void **state)
{
	(void)state;
	granted(11, 1, 0);
	granted(12, 2, 0);
	/* As processes 1 and 1 they would be in a circle, as tasks they are not. */
	queued(13, 2, 0);
	queued(14, 1, 0);
	queued(12, 1, 0);
	refused(11, 2, 0);
}

/* A name counts like a number. */
static void tasks_of_one_number_are_apart(void **state)
{
	struct locktable_wish other = wish(11, 2, 0), third = wish(11, 1, 0);

	(void)state;
	strcpy(other.task.name, "other");
	strcpy(third.task.name, "third");
	granted(11, 1, 0);
	assert_int_equal(locktable_lock(table, &other, 0, &change), LOCKTABLE_GRANTED);
	assert_int_equal(locktable_lock(table, &third, 0, &change), LOCKTABLE_QUEUED);
	queued(11, 2, 0);
	other.terminal = 1;
	assert_int_equal(locktable_lock(table, &other, 0, &change), LOCKTABLE_DEADLOCK);
}

static void nonblock_is_busy_instead(void **state)
{
	struct locktable_wish w = wish(1, 2, 0);

	(void)state;
	granted(1, 1, 0);
	granted(20, 2, 0);
	queued(20, 1, 0);
	w.nonblock = true;
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_BUSY);
}

/* 1 waits for both terminals; 20, which holds the second, would stand behind it
 * for the first. No holder waits yet; once 30 has ended, 1 and 20 would for ever. */
static void earlier_waiters_count(void **state)
{
	(void)state;
	uint64_t d = granted(30, 1, 0), b = granted(20, 2, 0);
	uint64_t c1 = queued(1, 1, 0);
	uint64_t c2 = queued(1, 2, 0);

	refused(20, 1, 0);
	/* In the other order, the waiter is the one refused. */
	end(c2, 0);
	uint64_t b1 = queued(20, 1, 0);
	refused(1, 2, 0);
	end(d, c1);
	end(c1, b1);
	end(b, 0);
}

/* 1 waits for terminal 2, whose holder 20 waits for terminal 1. If 1 were granted
 * on top of terminal 1's holder, 20 would wait for it as well. */
static void grant_on_top_closes_a_circle(void **state)
{
	(void)state;
	uint64_t a = granted(40, 1, 0);
	granted(20, 2, 0);
	uint64_t b1 = queued(20, 1, 0);
	uint64_t c2 = queued(1, 2, 0);

	refused(1, 1, a);
	uint64_t c1 = queued(1, 1, 0); /* behind it, it keeps nobody waiting */
	end(c1, 0);
	end(b1, 0);
	uint64_t c = granted(1, 1, a);
	end(c, 0);
	end(c2, 0);
}

static void under_does_not_wait_for_what_is_below(void **state)
{
	(void)state;
	/* 20 holds terminal 2 and waits for nobody; 1 holds terminal 1 and waits
	 * for 2. Nested on 1's grant, 20 waits for nobody either. */
	uint64_t a = granted(1, 1, 0);
	granted(20, 2, 0);
	uint64_t a2 = queued(1, 2, 0);

	refused(20, 1, 0);
	uint64_t n = granted(20, 1, a);
	/* 30 on top of that; 20's sister under a waits for 30 and 20 only. */
	uint64_t top = granted(30, 1, n);
	uint64_t w = queued(21, 1, a);
	granted(21, 3, 0);
	refused(30, 3, 0);
	end(top, 0);
	end(n, w);
	(void)a2;
}

static void hand_over_keeps_the_order(void **state)
{
	(void)state;
	uint64_t a = granted(1, 1, 0), b = granted(20, 2, 0), b1 = queued(20, 1, 0);
	uint64_t c1 = queued(30, 1, 0), c2 = queued(30, 2, 0);

	refused(1, 2, 0);
	end(a, b1);
	end(b1, c1);
	end(b, c2);
	assert_int_equal(change.waiters, 0);
}

/* A long queue of people with nothing else is looked at once for each question,
 * and only for one who has something else that somebody waits for. */
static void long_queue(void **state)
{
	enum { N = 10000 };
	double start = seconds();

	(void)state;
	granted(1, 1, 0);
	granted(20, 2, 0);
	for (uint64_t i = 0; i < N; i++)
		queued(1000 + i, 1, 0);
	assert_true(seconds() - start < 1.0);
	uint64_t w = queued(20, 1, 0); /* nobody waits for terminal 2 */
	end(w, 0);
	queued(30, 2, 0);
	for (int i = 0; i < 100; i++) {
		w = queued(20, 1, 0);
		end(w, 0);
	}
	assert_true(seconds() - start < 2.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(two_tasks),
	    TEST(three_tasks),
	    TEST(many_steps),
	    TEST(tasks_of_one_process_are_apart),
	    TEST(tasks_of_one_number_are_apart),
	    TEST(nonblock_is_busy_instead),
	    TEST(earlier_waiters_count),
	    TEST(grant_on_top_closes_a_circle),
	    TEST(under_does_not_wait_for_what_is_below),
	    TEST(hand_over_keeps_the_order),
	    TEST(long_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
