/* links: daemon/locktable.o daemon/locktable_view.o daemon/left.o daemon/restore.o daemon/records.o daemon/waitgraph.o daemon/slots.o */
/* The lock table made anew of what is kept of it: the same holders, the same order, and
 * numbers that go on above all that there were. */
#include <stdlib.h>

#include "tests/unit/table.h"

#include "daemon/restore.h"

static void left_is_what_was_set(void **state)
{
	struct locktable_left left = {.dirty = true, .untold = true, .saved_size = 3}, got;
	uint64_t holder = granted(1, 1, 0);

	(void)state;
	memcpy(left.saved, "abc", 3);
	for (int i = 0; i < 2; i++) { /* and again, over what is there */
		assert_true(locktable_set_left(table, 1, holder, &left));
		assert_true(locktable_set_left(table, 1, 0, &left));
		locktable_get_left(table, 1, holder, &got);
		assert_true(got.dirty && got.untold);
		assert_int_equal(got.saved_size, 3);
		assert_memory_equal(got.saved, "abc", 3);
		locktable_get_left(table, 1, 0, &got);
		assert_int_equal(got.saved_size, 3);
	}
	left = (struct locktable_left){0};
	assert_true(locktable_set_left(table, 1, holder, &left));
	locktable_get_left(table, 1, holder, &got);
	assert_false(got.dirty || got.untold);
	assert_int_equal(got.saved_size, 0);
	/* One who never knew that it held leaves the level as it was. */
	assert_int_equal(
	    locktable_release(table, holder, LOCKTABLE_UNTOUCHED, &change), LOCKTABLE_RELEASED);
	assert_true(change.kept);
	locktable_get_left(table, 1, 0, &got);
	assert_int_equal(got.saved_size, 3);
}

/* As much of it as there is room for, and as little as there can be. */
static void left_may_be_of_any_size(void **state)
{
	struct locktable_left left = {.dirty = true}, got;
	uint64_t holder = granted(1, 1, 0);

	(void)state;
	memset(left.saved, 'l', sizeof(left.saved));
	for (size_t size = 0; size <= LOCKTABLE_SAVED_MAX; size++) {
		left.saved_size = size;
		assert_true(locktable_set_left(table, 1, holder, &left));
		locktable_get_left(table, 1, holder, &got);
		assert_int_equal(got.saved_size, size);
		assert_memory_equal(got.saved, left.saved, size);
	}
}

/* There is room for three: what was there before, and what nobody was there for, is
 * given back. */
static void what_is_not_left_any_more_is_given_back(void **state)
{
	struct locktable_left left = {.dirty = true, .saved_size = 1};
	struct locktable *t = locktable_new(1, 1, 1);
	struct locktable_wish w = wish(1, 1, 0);

	(void)state;
	assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_GRANTED);
	for (int i = 0; i < 10; i++) {
		assert_true(locktable_set_left(t, 1, change.request, &left));
		assert_true(locktable_set_left(t, 1, 0, &left));
		assert_false(locktable_set_left(t, 1, 99, &left));
		assert_false(locktable_set_left(t, 2, 0, &left));
	}
	locktable_free(t);
}

static void restored_is_what_was_there(void **state)
{
	struct locktable_wish w = wish(1, 1, 0);
	struct locktable_place place = {.granted = 5}, got;

	(void)state;
	assert_false(locktable_restore(table, &w, 0, &place, 0));
	assert_true(locktable_restore(table, &w, 7, &place, 3));
	assert_false(locktable_restore(table, &w, 7, &place, 3));
	assert_false(locktable_restore(table, &w, 8, &place, 3)); /* the same task */
	w = wish(2, 1, 0);
	assert_false(locktable_restore(table, &w, 7, &place, 3)); /* the same id */
	place = (struct locktable_place){.rank = 9};
	assert_true(locktable_restore(table, &w, 9, &place, 3));
	assert_true(locktable_place(table, 9, &got));
	assert_int_equal(got.granted, 0);
	assert_int_equal(got.rank, 9);
	assert_true(locktable_place(table, 7, &got));
	assert_int_equal(got.granted, 5);
	locktable_skip_ids(table, 20);
	locktable_skip_ids(table, 10);
	assert_int_equal(queued(3, 1, 0), 21);
	assert_true(locktable_reown(table, 9, 1));
	assert_true(locktable_reown(table, 7, 50));
	assert_int_equal(locktable_owned(table, 50), 7);
	assert_int_equal(locktable_owned(table, 1), 9);
	assert_int_equal(locktable_owned(table, 2), 0);
}

/* A request is at least as old as the grant under which it asked, but the terminals'
 * holders come in any order: the next grant is above them all. */
static void next_grant_is_above_all(void **state)
{
	struct locktable_place place = {.granted = 9}, got;
	struct locktable_wish w = wish(1, 1, 0);

	(void)state;
	assert_true(locktable_restore(table, &w, 1, &place, 0));
	w = wish(2, 2, 0);
	place.granted = 5;
	assert_true(locktable_restore(table, &w, 2, &place, 0));
	assert_true(locktable_place(table, granted(3, 3, 0), &got));
	assert_int_equal(got.granted, 10);
}

static void compare(struct locktable_place a, struct locktable_place b, int order)
{
	int forwards = restore_compare(&a, &b), backwards = restore_compare(&b, &a);

	assert_int_equal((forwards > 0) - (forwards < 0), order);
	assert_int_equal((backwards > 0) - (backwards < 0), -order);
}
#define PLACE(...) ((struct locktable_place){__VA_ARGS__})

static void holders_first_then_by_grant_then_by_rank(void **state)
{
	(void)state;
	compare(PLACE(.granted = 3), PLACE(.granted = 4), -1);
	compare(PLACE(.granted = 3, .under = 2), PLACE(.granted = 3), 0);
	compare(PLACE(.granted = 9, .rank = 9), PLACE(.rank = 1), -1);
	compare(PLACE(.under = 5, .rank = 9), PLACE(.under = 4, .rank = 1), -1);
	compare(PLACE(.under = 5, .rank = -1), PLACE(.under = 5, .rank = 1), -1);
	compare(PLACE(.under = 5, .rank = 1), PLACE(.under = 5, .rank = 1), 0);
}

/* It keeps the rank that it had, and whoever is served first now goes before it. */
static void served_first_before_one_who_was_so_before_the_restart(void **state)
{
	struct locktable_wish w = wish(1, 1, 0);
	struct locktable_place place = {.granted = 1}, first, now;

	(void)state;
	assert_true(locktable_restore(table, &w, 1, &place, 0));
	w = wish(20, 1, 0);
	place = PLACE(.rank = -5);
	assert_true(locktable_restore(table, &w, 4, &place, 0));
	w = wish(30, 1, 0);
	place = PLACE(.rank = 2);
	assert_true(locktable_restore(table, &w, 2, &place, 0));
	assert_true(locktable_place(table, 4, &first));
	assert_int_equal(first.rank, -5);
	assert_int_equal(locktable_serve_first(table, 2, &change), LOCKTABLE_QUEUED);
	assert_true(locktable_place(table, 2, &now));
	compare(now, first, -1);
}

/* Nobody holds until it is served; then the first in line does. */
static void waiters_alone_are_served(void **state)
{
	struct locktable_place place = {.rank = 1};
	struct locktable_wish first = wish(1, 1, 0), second = wish(2, 1, 0);

	(void)state;
	assert_true(locktable_restore(table, &first, 1, &place, 0));
	place.rank = 2;
	assert_true(locktable_restore(table, &second, 2, &place, 0));
	assert_true(locktable_requeue(table, 1, &change));
	assert_int_equal(change.holder, 0);
	assert_int_equal(change.position, 1);
	assert_true(locktable_serve(table, 1, &change));
	assert_int_equal(change.grant.request, 1);
	assert_int_equal(change.grant.owner, 1);
	assert_int_equal(change.grant.waiters, 1);
	assert_false(locktable_serve(table, 1, &change));
	assert_int_equal(locktable_successor(table, 1), 2);
	assert_true(locktable_requeue(table, 2, &change));
	assert_int_equal(change.holder, 1);
}

/* Whoever was served first is so after a restart, too, and the last of them foremost. */
static void served_first_is_so_by_its_place(void **state)
{
	struct locktable_place place[5];
	uint64_t id[5];

	(void)state;
	for (uint64_t i = 0; i < 5; i++)
		id[i] = lock(10 * i + 1, 1, 0, i ? LOCKTABLE_QUEUED : LOCKTABLE_GRANTED);
	assert_int_equal(locktable_serve_first(table, id[3], &change), LOCKTABLE_QUEUED);
	assert_int_equal(locktable_serve_first(table, id[4], &change), LOCKTABLE_QUEUED);
	assert_int_equal(locktable_serve_first(table, id[2], &change), LOCKTABLE_QUEUED);
	static const int order[] = {0, 2, 4, 3, 1};
	for (int i = 0; i < 5; i++)
		assert_true(locktable_place(table, id[order[i]], &place[i]));
	for (int i = 0; i < 5; i++) {
		for (int j = 0; j < 5; j++) {
			int order_of = restore_compare(&place[i], &place[j]);

			assert_int_equal(order_of < 0, i < j);
			assert_int_equal(order_of > 0, i > j);
		}
	}
}

/* All of terminal 1 in the order in which it is shown. */
static size_t walk(const struct locktable *t, uint64_t *ids, size_t max)
{
	struct locktable_cursor c = {0};
	struct locktable_view v;
	size_t n = 0;

	while (locktable_next(t, &c, &v)) {
		assert_true(n < max);
		ids[n++] = v.request;
	}
	return n;
}

struct record {
	struct locktable_view view;
	struct locktable_place place;
};

static int record_compare(const void *a, const void *b)
{
	return restore_compare(
	    &((const struct record *)a)->place, &((const struct record *)b)->place);
}

/* What would be kept of each request, brought into an order of its own, is all that
 * another table is made of. */
static struct locktable *restarted(const struct locktable *t)
{
	struct locktable *made = locktable_new(100, 10, 1);
	struct record all[16];
	uint64_t ids[16];
	size_t n = walk(t, ids, 16);

	for (size_t i = 0; i < n; i++) {
		assert_true(locktable_find(t, ids[i], &all[i].view));
		assert_true(locktable_place(t, ids[i], &all[i].place));
	}
	qsort(all, n, sizeof(*all), record_compare);
	for (size_t i = 0; i < n; i++) {
		const struct locktable_view *v = &all[i].view;
		struct locktable_wish w = {.owner = v->owner,
		    .process = v->process,
		    .terminal = v->terminal,
		    .task = v->task};

		assert_true(locktable_restore(made, &w, v->request, &all[i].place, v->asked));
	}
	return made;
}

/* The number of a grant that has ended under some who wait must not come again: the
 * second of them would be taken to have asked under the first. */
static void next_grant_is_above_one_that_has_ended(void **state)
{
	struct locktable_place place = PLACE(.granted = 5), got;
	struct locktable_wish w = wish(1, 1, 0);

	(void)state;
	assert_true(locktable_restore(table, &w, 1, &place, 0));
	for (uint64_t id = 2; id <= 3; id++) {
		w = wish(10 * id, 1, 0);
		place = PLACE(.under = 8, .rank = (int64_t)id);
		assert_true(locktable_restore(table, &w, id, &place, 0));
	}
	assert_true(locktable_serve(table, 1, &change));
	assert_true(locktable_place(table, 2, &got));
	assert_int_equal(got.granted, 9);
	struct locktable *next = restarted(table);
	assert_int_equal(locktable_successor(next, 2), 3);
	locktable_free(next);
}

/* It asked under the outer grant, and goes before one who had asked under an inner one
 * that has ended since. */
static void served_first_before_those_of_a_grant_that_ended(void **state)
{
	uint64_t outer = granted(1, 1, 0), inner = granted(20, 1, outer);
	uint64_t top = granted(30, 1, inner), last = queued(40, 1, 0);
	uint64_t of_inner = queued(50, 1, inner), of_outer = queued(60, 1, outer);
	uint64_t shown[] = {top, outer, of_outer, of_inner, last}, ids[8];

	(void)state;
	end(inner, 0);
	assert_int_equal(locktable_serve_first(table, of_outer, &change), LOCKTABLE_QUEUED);
	assert_int_equal(change.position, 1);
	assert_int_equal(walk(table, ids, 8), 5);
	assert_memory_equal(ids, shown, sizeof(shown));
	struct locktable *next = restarted(table);
	assert_int_equal(walk(next, ids, 8), 5);
	assert_memory_equal(ids, shown, sizeof(shown));
	locktable_free(next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(left_is_what_was_set),
	    TEST(left_may_be_of_any_size),
	    TEST(what_is_not_left_any_more_is_given_back),
	    TEST(restored_is_what_was_there),
	    TEST(holders_first_then_by_grant_then_by_rank),
	    TEST(next_grant_is_above_all),
	    TEST(served_first_before_one_who_was_so_before_the_restart),
	    TEST(next_grant_is_above_one_that_has_ended),
	    TEST(waiters_alone_are_served),
	    TEST(served_first_is_so_by_its_place),
	    TEST(served_first_before_those_of_a_grant_that_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
