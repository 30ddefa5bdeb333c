/* links: daemon/bucket.o */
/* How much may be had in a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "daemon/bucket.h"

static const struct bucket_rate rate = {.per_s = 100, .burst = 50};

/* How many one gets by taking one at a time until there is none. */
static uint32_t take_all(struct bucket *b, uint64_t now)
{
	uint32_t n = 0;

	while (n < 100000 && bucket_has(b, &rate, now)) {
		bucket_spend(b, &rate, now, 1);
		n++;
	}
	return n;
}

static void zeroed_is_full(void **state)
{
	struct bucket b = {0};

	(void)state;
	assert_int_equal(take_all(&b, 0), 50);
	assert_int_equal(take_all(&b, 0), 0);
	b = (struct bucket){0};
	assert_int_equal(take_all(&b, UINT64_MAX), 50);
}

static void refills_at_its_rate(void **state)
{
	struct bucket b = {0};

	(void)state;
	take_all(&b, 1000);
	assert_int_equal(take_all(&b, 1009), 0);
	assert_int_equal(take_all(&b, 1010), 1);
	assert_int_equal(take_all(&b, 1110), 10);
	/* Never more than the burst, however long the rest. */
	assert_int_equal(take_all(&b, 1000000000), 50);
	/* Looking often loses nothing: 1000 looks, 1 ms apart. */
	uint32_t got = 0;
	for (uint64_t t = 1; t <= 1000; t++)
		got += take_all(&b, 1000000000 + t);
	assert_int_equal(got, 100);
}

static void debt_is_paid_first(void **state)
{
	struct bucket b = {0};

	(void)state;
	bucket_spend(&b, &rate, 0, 60);
	assert_false(bucket_has(&b, &rate, 0));
	assert_false(bucket_has(&b, &rate, 109));
	assert_true(bucket_has(&b, &rate, 110));
	/* A huge one does not last for ever. */
	bucket_spend(&b, &rate, 110, UINT32_MAX);
	bucket_spend(&b, &rate, 110, UINT32_MAX);
	assert_false(bucket_has(&b, &rate, 1000));
	assert_true(bucket_has(&b, &rate, 110 + 2000));
}

/* Neither a moment early, nor is more given back than was spent. */
static void refilled_at_the_very_millisecond(void **state)
{
	for (uint32_t per_s = 1; per_s <= 3000; per_s += 7) {
		const struct bucket_rate one = {.per_s = per_s, .burst = 1};
		uint64_t due = (1000 + per_s - 1) / per_s;
		struct bucket b = {0};

		bucket_spend(&b, &one, 1, 1);
		assert_true(due == 1 || !bucket_has(&b, &one, due));
		assert_true(bucket_has(&b, &one, 1 + due));
		assert_true(bucket_has(&b, &one, 2 + due));
		bucket_spend(&b, &one, 2 + due, 1);
		assert_true(bucket_has(&b, &one, 1000000));
	}
	(void)state;
}

/* What was refilled until then does not make up for what is spent now. */
static void debt_is_forgiven_as_of_now(void **state)
{
	struct bucket b = {0};

	(void)state;
	bucket_spend(&b, &rate, 0, 200); /* all that is not forgiven */
	bucket_spend(&b, &rate, 1000, 100);
	assert_false(bucket_has(&b, &rate, 2509));
	assert_true(bucket_has(&b, &rate, 2510));
}

static void clock_that_goes_back_gives_nothing(void **state)
{
	struct bucket b = {0};

	(void)state;
	take_all(&b, 5000);
	assert_int_equal(take_all(&b, 10), 0);
	assert_int_equal(take_all(&b, 4990), 0);
	assert_int_equal(take_all(&b, 5100), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zeroed_is_full),
	    cmocka_unit_test(refills_at_its_rate),
	    cmocka_unit_test(debt_is_paid_first),
	    cmocka_unit_test(refilled_at_the_very_millisecond),
	    cmocka_unit_test(debt_is_forgiven_as_of_now),
	    cmocka_unit_test(clock_that_goes_back_gives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
