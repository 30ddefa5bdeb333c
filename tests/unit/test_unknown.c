/* links: daemon/locktable.o daemon/locktable_view.o daemon/left.o daemon/restore.o daemon/records.o daemon/waitgraph.o daemon/slots.o */
/* links: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
/* What the lock table says of what it does not have: requests, terminals and owners
 * that nobody knows, other holders than were asked for, and memory. */
#include <stdlib.h>

#include "tests/unit/table.h"

#include "daemon/records.h"
#include "daemon/restore.h"

static long allocations_left = -1; /* -1: no limit */

static bool may_allocate(void)
{
	return allocations_left < 0 || allocations_left-- > 0;
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

static void unknown_is_said_to_be(void **state)
{
	struct locktable_grant grant;
	struct locktable_place place;
	struct locktable_left left = {.dirty = true};
	uint64_t holder = granted(1, 1, 0), waiter = queued(2, 1, 0), other = granted(3, 2, 0);

	(void)state;
	assert_false(locktable_requeue(table, 99, &change));
	assert_false(locktable_requeue(table, holder, &change));
	assert_true(locktable_requeue(table, waiter, &change));
	assert_int_equal(change.holder, holder);
	assert_int_equal(change.position, 1);
	assert_int_equal(change.waiters, 0);
	assert_false(locktable_regrant(table, 99, &grant));
	assert_false(locktable_regrant(table, waiter, &grant));
	assert_true(locktable_regrant(table, holder, &grant));
	assert_int_equal(locktable_successor(table, 99), 0);
	assert_int_equal(locktable_successor(table, other), 0);
	assert_int_equal(locktable_successor(table, waiter), 0);
	assert_int_equal(locktable_successor(table, holder), waiter);
	assert_false(locktable_place(table, 99, &place));
	assert_false(locktable_reown(table, 99, 1));
	assert_false(locktable_forget(table, 99));
	assert_false(locktable_serve(table, 99, &change));
	assert_false(locktable_serve(table, 1, &change));
	assert_int_equal(locktable_owned(table, 99), 0);
	/* A level is a holder of that very terminal. */
	assert_false(locktable_set_left(table, 1, 99, &left));
	assert_false(locktable_set_left(table, 1, waiter, &left));
	assert_false(locktable_set_left(table, 1, other, &left));
	assert_false(locktable_set_left(table, 99, other, &left));
	left.saved_size = LOCKTABLE_SAVED_MAX + 1;
	assert_false(locktable_set_left(table, 1, holder, &left));
	locktable_get_left(table, 99, 0, &left);
	assert_false(left.dirty);
	left.dirty = true;
	locktable_get_left(table, 1, waiter, &left);
	assert_false(left.dirty);
	left.dirty = true;
	locktable_get_left(table, 2, holder, &left);
	assert_false(left.dirty);
	locktable_free(NULL);
}

static void saved(struct locktable *t, uint64_t request)
{
	assert_true(locktable_save(t, request, "x", 1));
}

static uint64_t taken(struct locktable *t, uint64_t task, uint64_t under)
{
	struct locktable_wish w = wish(task, 1, under);

	assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_GRANTED);
	return change.request;
}

/* What is saved has room for each holder, each level and each terminal, and no more:
 * one that was not given back would be missed soon. */
static void what_is_saved_is_given_back(void **state)
{
	static const enum locktable_end ends[] = {
	    LOCKTABLE_CLEAN, LOCKTABLE_DIRTY, LOCKTABLE_UNTOUCHED};
	struct locktable_left left = {.dirty = true, .saved_size = 1};
	struct locktable *t = locktable_new(2, 1, 1);

	(void)state;
	for (int i = 0; i < 27 * 40; i++) {
		uint64_t outer = taken(t, 1, 0), inner = taken(t, 2, outer);

		saved(t, outer);
		saved(t, inner);
		if (i % 2)
			assert_true(locktable_set_left(t, 1, inner, &left));
		uint64_t first = i % 4 < 2 ? inner : outer;
		locktable_release(t, first, ends[i % 3], &change);
		if (i % 5 == 0)
			assert_true(locktable_save(t, first == inner ? outer : inner, "", 0));
		if (i % 7 == 0 && first == inner) {
			inner = taken(t, 2, outer);
			saved(t, inner);
			locktable_release(t, inner, ends[i / 3 % 3], &change);
		}
		locktable_release(
		    t, first == inner || first != outer ? outer : inner, ends[i / 9 % 3], &change);
		assert_int_equal(locktable_requests(t), 0);
		if (i % 11 == 0 && change.kept)
			assert_true(locktable_forget(t, 1));
	}
	locktable_free(t);
}

/* Of a level that is not dirty as well: a terminal's end takes along what it has. */
static void what_a_clean_level_has_is_given_back(void **state)
{
	struct locktable_left left = {.saved_size = 1};
	struct locktable *t = locktable_new(1, 1, 1);

	(void)state;
	for (int i = 0; i < 10; i++) {
		uint64_t request = taken(t, 1, 0);

		assert_true(locktable_set_left(t, 1, 0, &left));
		locktable_release(t, request, LOCKTABLE_UNTOUCHED, &change);
		assert_true(change.idle && !change.kept);
		assert_int_equal(locktable_terminals(t), 0);
	}
	locktable_free(t);
}

/* There is room for two owners: one that stayed would be missed. */
static void owners_are_given_back(void **state)
{
	struct locktable *t = locktable_new(2, 1, 1);
	struct locktable_view v;

	(void)state;
	for (uint64_t i = 1; i < 20; i++) {
		uint64_t request = taken(t, i, 0);

		assert_true(locktable_reown(t, request, 1000 + i));
		assert_true(locktable_find(t, request, &v));
		assert_int_equal(v.owner, 1000 + i);
		assert_int_equal(locktable_owned(t, i), 0);
		assert_false(locktable_drop_owner(t, i, &change));
		assert_int_equal(locktable_owned(t, 1000 + i), request);
		assert_true(locktable_reown(t, request, i));
		assert_true(locktable_drop_owner(t, i, &change));
		assert_int_equal(change.request, request);
		assert_false(locktable_drop_owner(t, i, &change));
	}
	locktable_free(t);
}

static void found_is_what_was_asked(void **state)
{
	struct locktable_view v;
	struct locktable_wish w = wish(12, 3, 0);

	(void)state;
	assert_false(locktable_find(table, 1, &v));
	assert_int_equal(locktable_lock(table, &w, 77, &change), LOCKTABLE_GRANTED);
	uint64_t waiter = queued(13, 3, 0);
	assert_true(locktable_find(table, change.holder, &v));
	assert_true(v.holds);
	assert_int_equal(v.position, 0);
	assert_int_equal(v.asked, 77);
	assert_int_equal(v.owner, 12);
	assert_int_equal(v.process, 1001);
	assert_int_equal(v.terminal, 3);
	assert_int_equal(v.task.id, 12);
	assert_true(locktable_find(table, waiter, &v));
	assert_false(v.holds);
	assert_int_equal(v.position, UINT32_MAX);
	/* One who never heard of its grant is told what the grant told. */
	struct locktable_left left = {.dirty = true, .saved_size = 2, .saved = "hi"};
	struct locktable_grant grant;
	assert_true(locktable_set_left(table, 3, 0, &left));
	assert_true(locktable_regrant(table, change.holder, &grant));
	assert_int_equal(grant.request, change.holder);
	assert_int_equal(grant.owner, 12);
	assert_int_equal(grant.waiters, 1);
	assert_true(grant.dirty);
	assert_int_equal(grant.saved_size, 2);
	assert_memory_equal(grant.saved, "hi", 2);
}

/* Each allocation of a table that is filled fails once: it is refused, and nothing is
 * changed by that. */
static void out_of_memory_is_a_refusal(void **state)
{
	struct locktable_left left = {.dirty = true, .saved_size = 1};
	bool all = false;

	(void)state;
	for (long n = 0; !all; n++) {
		struct locktable_place place = {.granted = 1};
		struct locktable_wish w = wish(1, 1, 0);

		allocations_left = n;
		struct locktable *t = locktable_new(100, 100, 1);
		bool restored = t && locktable_restore(t, &w, 1, &place, 0);
		bool owned = restored && locktable_reown(t, 1, 4);
		bool kept = restored && locktable_set_left(t, 1, 1, &left) &&
			    locktable_set_left(t, 2, 0, &left);
		all = owned && kept && locktable_save(t, 1, "x", 1);
		allocations_left = -1;
		if (t) {
			assert_int_equal(locktable_requests(t), restored);
			assert_true(!restored || locktable_owned(t, owned ? 4 : w.owner) == 1);
		}
		locktable_free(t);
	}
	/* What failed for want of memory has left nothing behind that takes up room. */
	for (long n = 0; n < 20; n++) {
		struct locktable *t = locktable_new(1, 1, 1);
		struct locktable_wish w = wish(1, 1, 0);

		allocations_left = n;
		locktable_lock(t, &w, 0, &change);
		allocations_left = -1;
		if (change.outcome == LOCKTABLE_FULL)
			assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_GRANTED);
		uint64_t request = change.request;
		allocations_left = 0;
		assert_false(locktable_save(t, request, "x", 1));
		allocations_left = 0;
		assert_false(locktable_set_left(t, 1, request, &left));
		allocations_left = -1;
		saved(t, request);
		locktable_free(t);
	}
	/* And where there is no room for one record more. */
	struct locktable *t = locktable_new(1, 1, 1);
	struct locktable_wish w = wish(1, 1, 0);
	assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_GRANTED);
	assert_false(locktable_reown(t, 1, 2));
	assert_false(locktable_set_left(t, 2, 0, &left));
	for (int i = 0; i < 3; i++)
		assert_int_equal(locktable_save(t, 1, "x", 1), true);
	locktable_free(t);
}

/* A seed by which all keys fall into few buckets does not confuse one with another. */
static void keys_in_one_bucket_are_kept_apart(void **state)
{
	uint64_t ids[64];

	(void)state;
	for (uint64_t seed = 0; seed < 8; seed++) {
		struct locktable *t = locktable_new(100, 100, seed * 0x9e3779b97f4a7c15u);

		for (uint64_t i = 0; i < 64; i++) {
			struct locktable_wish w = wish(i, i, 0);

			assert_int_equal(locktable_lock(t, &w, 0, &change), LOCKTABLE_GRANTED);
			ids[i] = change.request;
		}
		for (uint64_t i = 0; i < 64; i++) {
			assert_int_equal(locktable_owned(t, i), ids[i]);
			assert_int_equal(locktable_release(t, ids[i], LOCKTABLE_CLEAN, &change),
			    LOCKTABLE_RELEASED);
			assert_int_equal(change.terminal, i);
		}
		assert_int_equal(locktable_requests(t), 0);
		assert_int_equal(locktable_terminals(t), 0);
		locktable_free(t);
	}
}

static uint64_t hash_of(uint64_t seed, uint64_t process, uint64_t id)
{
	return slot_hash(slot_hash(seed, process), id);
}

/* Tasks of two processes, so chosen that all they are found by is the same: each has
 * its own requests all the same. */
static void tasks_of_one_hash_are_kept_apart(void **state)
{
	const uint64_t seed = 42;
	struct locktable_wish a = wish(1, 1, 0), b = wish(20, 1, 0);

	(void)state;
	assert_int_equal(table->seed, seed); /* setup's: else strangers may do this, too */
	a.task.name[0] = b.task.name[0] = '\0';
	b.task.id = slot_hash(seed, a.process) ^ a.task.id ^ slot_hash(seed, b.process);
	assert_int_equal(hash_of(seed, a.process, a.task.id), hash_of(seed, b.process, b.task.id));
	assert_int_equal(locktable_lock(table, &a, 0, &change), LOCKTABLE_GRANTED);
	uint64_t first = change.request;
	assert_int_equal(locktable_lock(table, &b, 0, &change), LOCKTABLE_QUEUED);
	uint64_t second = change.request;
	assert_int_equal(locktable_lock(table, &a, 0, &change), LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, first);
	assert_int_equal(locktable_lock(table, &b, 0, &change), LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, second);
	a.terminal = b.terminal = 2;
	assert_int_equal(locktable_lock(table, &b, 0, &change), LOCKTABLE_GRANTED);
	assert_int_equal(locktable_lock(table, &a, 0, &change), LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, 0); /* b waits for a, who would wait for b */
	end(first, second);
	assert_int_equal(locktable_lock(table, &a, 0, &change), LOCKTABLE_QUEUED);
}

/* No byte behind it is looked at. */
static void name_may_fill_its_field(void **state)
{
	struct locktable_wish w = wish(1, 1, 0);

	(void)state;
	memset(w.task.name, 'n', sizeof(w.task.name));
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_GRANTED);
	uint64_t first = change.request;
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_DEADLOCK);
	assert_int_equal(change.first, first);
	w.task.name[sizeof(w.task.name) - 1] = 'o';
	assert_int_equal(locktable_lock(table, &w, 0, &change), LOCKTABLE_QUEUED);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(unknown_is_said_to_be),
	    TEST(what_a_clean_level_has_is_given_back),
	    TEST(what_is_saved_is_given_back),
	    TEST(owners_are_given_back),
	    TEST(found_is_what_was_asked),
	    TEST(out_of_memory_is_a_refusal),
	    TEST(keys_in_one_bucket_are_kept_apart),
	    TEST(tasks_of_one_hash_are_kept_apart),
	    TEST(name_may_fill_its_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
