/* table: shorthand for tests of the lock table alone. */
#ifndef TTYLOCK_TESTS_TABLE_H
#define TTYLOCK_TESTS_TABLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "daemon/locktable.h"

static struct locktable *table;
static struct locktable_change change;

static inline int setup(void **state)
{
	(void)state;
	table = locktable_new(20000, 1000, 42);
	return table ? 0 : -1;
}

static inline int teardown(void **state)
{
	(void)state;
	locktable_free(table);
	return 0;
}

static inline struct locktable_wish wish(uint64_t task, uint64_t terminal, uint64_t under)
{
	return (struct locktable_wish){
	    .owner = task,
	    .process = 1000 + task / 10, /* tasks 10 to 19 are of one process */
	    .terminal = terminal,
	    .task = {.name = "t", .id = task},
	    .under = under,
	};
}

/* Its number, if it was granted or queued, as expected. */
static inline uint64_t lock(
    uint64_t task, uint64_t terminal, uint64_t under, enum locktable_outcome expected)
{
	struct locktable_wish w = wish(task, terminal, under);

	assert_int_equal(locktable_lock(table, &w, 0, &change), expected);
	assert_int_equal(change.grant.request, expected == LOCKTABLE_GRANTED ? change.request : 0);
	return change.request;
}

static inline uint64_t granted(uint64_t task, uint64_t terminal, uint64_t under)
{
	return lock(task, terminal, under, LOCKTABLE_GRANTED);
}

static inline uint64_t queued(uint64_t task, uint64_t terminal, uint64_t under)
{
	return lock(task, terminal, under, LOCKTABLE_QUEUED);
}

/* Ends it, upon which `next` is granted (0: nobody). */
static inline void end_as(uint64_t request, enum locktable_end end, uint64_t next)
{
	assert_int_not_equal(locktable_release(table, request, end, &change), LOCKTABLE_NOT_FOUND);
	assert_int_equal(change.grant.request, next);
}

static inline void end(uint64_t request, uint64_t next)
{
	end_as(request, LOCKTABLE_CLEAN, next);
}

static inline double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
