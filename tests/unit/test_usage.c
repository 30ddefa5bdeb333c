/* links: daemon/usage.o daemon/policy.o daemon/bucket.o -Wl,--wrap=calloc */
/* What each user has, against the others and against the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "daemon/usage.h"

static struct usages set;
static bool out_of_memory;

void *__real_calloc(size_t n, size_t m);
void *__wrap_calloc(size_t n, size_t m);

void *__wrap_calloc(size_t n, size_t m)
{
	return out_of_memory ? NULL : __real_calloc(n, m);
}

static struct usage *a, *b, *root;

static int setup(void **state)
{
	(void)state;
	a = usages_get(&set, 1000);
	b = usages_get(&set, 1001);
	root = usages_get(&set, 0);
	return a && b && root ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	usage_unref(a);
	usage_unref(b);
	usage_unref(root);
	return set.first ? -1 : 0;
}

static void one_record_for_each_user(void **state)
{
	struct usage *again = usages_get(&set, 1000);

	(void)state;
	assert_ptr_equal(again, a);
	assert_ptr_not_equal(a, b);
	usage_unref(again);
	usage_unref(NULL);
}

static void no_memory_is_no_record(void **state)
{
	(void)state;
	out_of_memory = true;
	assert_null(usages_get(&set, 1002));
	struct usage *known = usages_get(&set, 1001);
	out_of_memory = false;
	assert_ptr_equal(known, b);
	usage_unref(known);
	struct usage *late = usages_get(&set, 1002);
	assert_non_null(late);
	usage_unref(late);
}

static uint32_t talk(struct usage *u, uint64_t now)
{
	uint32_t n = 0;

	while (n < 10000000 && usage_may_talk(u, now)) {
		usage_talked(u, now, 1);
		n++;
	}
	return n;
}

static void rate_is_of_each_user(void **state)
{
	uint32_t at_once = policy_message_rate(1000)->burst;
	uint32_t per_s = policy_message_rate(1000)->per_s;

	(void)state;
	assert_int_equal(talk(a, 1000), at_once);
	assert_int_equal(talk(a, 1000), 0);
	assert_int_equal(talk(b, 1000), at_once);
	assert_true(talk(root, 1000) > at_once);
	assert_int_equal(talk(a, 1500), per_s / 2);
}

static void queue_all(struct usage *u)
{
	while (usage_may_queue(u) == POLICY_ALLOW)
		usage_queued(u, 1024 * 1024);
}

static void bytes_are_shared(void **state)
{
	(void)state;
	queue_all(a);
	assert_int_equal(usage_may_queue(a), POLICY_QUOTA);
	assert_int_equal(usage_may_queue(b), POLICY_ALLOW);
	queue_all(b);
	assert_true(b->queued_bytes > 1024 * 1024);
	assert_int_equal(usage_may_queue(root), POLICY_ALLOW);
	queue_all(root);
	assert_true(set.queued_bytes < POLICY_BYTES_MAX + 4 * 1024 * 1024);
	usage_unqueued(a, a->queued_bytes);
	assert_int_equal(usage_may_queue(a), POLICY_ALLOW);
	usage_unqueued(b, b->queued_bytes);
	usage_unqueued(root, root->queued_bytes);
	assert_int_equal(set.queued_bytes, 0);
}

/* Half of what the others leave: who is alone has nothing of his own to reckon with. */
static void own_bytes_are_no_others(void **state)
{
	const uint64_t most = POLICY_BYTES_MAX - POLICY_BYTES_MAX / POLICY_ROOT_RESERVE;

	(void)state;
	usage_queued(a, most / 2 - 1);
	assert_int_equal(usage_may_queue(a), POLICY_ALLOW);
	usage_queued(a, 1);
	assert_int_equal(usage_may_queue(a), POLICY_QUOTA);
	usage_unqueued(a, a->queued_bytes);
}

static void many_refusals_are_counted_only(void **state)
{
	uint32_t told = 0, untold = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		told += usage_tell_refusal(a, 1000, &untold);
	assert_int_equal(told, policy_refusal_rate(1000)->burst);
	assert_int_equal(untold, 0);
	assert_true(usage_tell_refusal(b, 1000, &untold));
	assert_true(usage_tell_refusal(a, 2000, &untold));
	assert_int_equal(untold, 1000 - told);
	assert_true(usage_tell_refusal(a, 2000, &untold));
	assert_int_equal(untold, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(one_record_for_each_user),
	    TEST(no_memory_is_no_record),
	    TEST(rate_is_of_each_user),
	    TEST(bytes_are_shared),
	    TEST(own_bytes_are_no_others),
	    TEST(many_refusals_are_counted_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
