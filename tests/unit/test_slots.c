/* links: daemon/slots.o */
/* Records by number: zeroed, used again, and never more than their maximum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "daemon/slots.h"

enum { SIZE = 24, MAX = 40 };

static struct slots slots;

static int setup(void **state)
{
	(void)state;
	slots_init(&slots, SIZE, MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	slots_deinit(&slots);
	return slots.records ? -1 : 0; /* so that it may be called again */
}

static void taken_is_zeroed(void **state)
{
	static const unsigned char zeroes[SIZE];

	(void)state;
	for (int i = 0; i < 3 * MAX; i++) {
		uint32_t slot = slots_take(&slots);

		assert_int_not_equal(slot, SLOT_NONE);
		assert_memory_equal(slots_at(&slots, slot), zeroes, SIZE);
		memset(slots_at(&slots, slot), 0xff, SIZE);
		if (i >= MAX / 2)
			slots_give(&slots, slot);
	}
}

static void never_more_than_the_maximum(void **state)
{
	uint32_t slot[MAX];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MAX; i++) {
			slot[i] = slots_take(&slots);
			assert_in_range(slot[i], 0, MAX - 1);
			for (int j = 0; j < i; j++)
				assert_int_not_equal(slot[j], slot[i]);
		}
		assert_int_equal(slots_take(&slots), SLOT_NONE);
		assert_int_equal(slots.used, MAX);
		for (int i = 0; i < MAX; i++)
			slots_give(&slots, slot[i]);
		assert_int_equal(slots.used, 0);
	}
}

/* Else a table that is in use for long would grow, however few use it at a time. */
static void given_back_is_used_again(void **state)
{
	(void)state;
	uint32_t first = slots_take(&slots), second = slots_take(&slots);
	uint32_t cap = slots.cap;

	for (int i = 0; i < 10 * MAX; i++) {
		slots_give(&slots, first);
		slots_give(&slots, second);
		assert_int_equal(slots_take(&slots), second);
		assert_int_equal(slots_take(&slots), first);
	}
	assert_int_equal(slots.cap, cap);
	assert_int_equal(slots.fresh, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(taken_is_zeroed),
	    TEST(never_more_than_the_maximum),
	    TEST(given_back_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
