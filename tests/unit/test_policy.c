/* links: daemon/policy.o */
/* Who may do what, and how much of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "daemon/policy.h"

static void detail_is_for_self_owner_and_root(void **state)
{
	static const struct {
		uint32_t uid, request_uid, terminal_uid;
		enum policy_verdict want;
	} cases[] = {
	    {1000, 1000, 1001, POLICY_ALLOW},
	    {1001, 1000, 1001, POLICY_ALLOW},
	    {1002, 1000, 1001, POLICY_DENY},
	    {0, 1000, 1001, POLICY_ALLOW},
	    {1000, 0, 0, POLICY_DENY},
	    {1000, 0, (uint32_t)-1, POLICY_DENY}, /* the device is gone */
	    {POLICY_UID_OVERFLOW, POLICY_UID_OVERFLOW, POLICY_UID_OVERFLOW, POLICY_DENY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct policy_case c = {
		    .uid = cases[i].uid,
		    .request_uid = cases[i].request_uid,
		    .terminal_uid = cases[i].terminal_uid,
		};

		assert_int_equal(policy_decide(POLICY_SEE, &c), cases[i].want);
		assert_int_equal(policy_decide(POLICY_STEER, &c), cases[i].want);
	}
}

static void overflow_uid_may_nothing(void **state)
{
	struct policy_case c = {.uid = POLICY_UID_OVERFLOW, .total = 1000};

	(void)state;
	assert_int_equal(policy_decide(POLICY_CONNECT, &c), POLICY_DENY);
	assert_int_equal(policy_decide(POLICY_LINGER, &c), POLICY_DENY);
	assert_int_equal(policy_decide(POLICY_TERMINAL, &c), POLICY_DENY);
	assert_int_equal(policy_decide(POLICY_LOCK, &c), POLICY_DENY);
}

/* How many a user gets when it takes as many as it can. */
static uint32_t take_all(uint32_t uid, uint32_t others, uint32_t total)
{
	struct policy_case c = {.uid = uid, .others = others, .total = total};

	while (policy_decide(POLICY_LOCK, &c) == POLICY_ALLOW)
		c.mine++;
	return c.mine;
}

static void nobody_takes_everything(void **state)
{
	uint32_t used = 0;

	(void)state;
	/* One user after the other takes all it can; each next one still gets
	 * something, and root gets what is kept for it. */
	for (uint32_t uid = 1; uid <= 8; uid++) {
		uint32_t got = take_all(uid, used, 1600);

		assert_true(got > 0);
		assert_true(uid > 1 || got == 750);
		used += got;
	}
	assert_true(used <= 1500);
	assert_int_equal(take_all(0, used, 1600), 1600 - used);
	assert_int_equal(take_all(9, 1600, 1600), 0);
	/* The queue of 10,000 that is promised to one user. */
	assert_true(take_all(1, 0, POLICY_REQUESTS_MAX) > 10000);
}

/* Of 1600, 1500 are for everybody: half of what the others leave, rounded up. */
static void half_is_the_limit(void **state)
{
	struct policy_case c = {.uid = 1, .total = 1600, .mine = 749};

	(void)state;
	assert_int_equal(policy_decide(POLICY_LOCK, &c), POLICY_ALLOW);
	c.mine = 750;
	assert_int_equal(policy_decide(POLICY_LOCK, &c), POLICY_QUOTA);
	c = (struct policy_case){.uid = 1, .total = 1600, .others = 1499, .mine = 0};
	assert_int_equal(policy_decide(POLICY_LOCK, &c), POLICY_ALLOW);
	c.others = 1500;
	assert_int_equal(policy_decide(POLICY_LOCK, &c), POLICY_QUOTA);
	c = (struct policy_case){.uid = 1, .total = 1600, .others = 1497, .mine = 1};
	assert_int_equal(policy_decide(POLICY_LOCK, &c), POLICY_ALLOW);
	c.mine = 2;
	assert_int_equal(policy_decide(POLICY_LOCK, &c), POLICY_QUOTA);
}

static void root_may_be_faster(void **state)
{
	(void)state;
	assert_true(policy_message_rate(0)->per_s > policy_message_rate(1)->per_s);
	assert_ptr_equal(policy_message_rate(1), policy_message_rate(1000));
	assert_true(policy_refusal_rate(0)->per_s > policy_refusal_rate(1)->per_s);
	assert_ptr_equal(policy_refusal_rate(1), policy_refusal_rate(1000));
	assert_int_equal(
	    policy_decide((enum policy_operation)99, &(struct policy_case){0}), POLICY_DENY);
}

static void few_may_stay_without_hello(void **state)
{
	struct policy_case c = {.uid = 5, .mine = POLICY_UNGREETED_MAX - 1};

	(void)state;
	assert_int_equal(policy_decide(POLICY_LINGER, &c), POLICY_ALLOW);
	c.mine++;
	assert_int_equal(policy_decide(POLICY_LINGER, &c), POLICY_QUOTA);
	c.uid = 0;
	assert_int_equal(policy_decide(POLICY_LINGER, &c), POLICY_ALLOW);
}

static void busy_user_gets_no_more_connections(void **state)
{
	struct policy_case c = {.uid = 5, .total = 10000, .over_rate = true};

	(void)state;
	c.mine = POLICY_BUSY_CONNECTIONS - 1;
	assert_int_equal(policy_decide(POLICY_CONNECT, &c), POLICY_ALLOW);
	c.mine++;
	assert_int_equal(policy_decide(POLICY_CONNECT, &c), POLICY_QUOTA);
	c.over_rate = false;
	assert_int_equal(policy_decide(POLICY_CONNECT, &c), POLICY_ALLOW);
	c.over_rate = true;
	c.uid = 0;
	assert_int_equal(policy_decide(POLICY_CONNECT, &c), POLICY_ALLOW);
}

/* Bytes are many: no sum of them may wrap. */
static void large_numbers_do_not_wrap(void **state)
{
	struct policy_case c = {.uid = 5, .mine = 1ull << 40, .others = 1, .total = 1ull << 33};

	(void)state;
	assert_int_equal(policy_decide(POLICY_QUEUE, &c), POLICY_QUOTA);
	c.mine = 0;
	c.others = 1ull << 40;
	assert_int_equal(policy_decide(POLICY_QUEUE, &c), POLICY_QUOTA);
	c.others = 0;
	assert_int_equal(policy_decide(POLICY_QUEUE, &c), POLICY_ALLOW);
	assert_int_equal(policy_decide(POLICY_WATCH, &c), POLICY_ALLOW);
}

static void root_has_a_rate_of_its_own(void **state)
{
	(void)state;
	assert_true(policy_message_rate(0)->per_s > policy_message_rate(1000)->per_s);
	assert_ptr_equal(policy_message_rate(1000), policy_message_rate(1001));
	/* A thousand clients that come at once are no flood. */
	assert_true(policy_message_rate(1000)->burst > 1000 * (POLICY_COST_CONNECT + 10));
	assert_true(policy_refusal_rate(1000)->burst > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(detail_is_for_self_owner_and_root),
	    cmocka_unit_test(overflow_uid_may_nothing),
	    cmocka_unit_test(nobody_takes_everything),
	    cmocka_unit_test(half_is_the_limit),
	    cmocka_unit_test(root_may_be_faster),
	    cmocka_unit_test(few_may_stay_without_hello),
	    cmocka_unit_test(busy_user_gets_no_more_connections),
	    cmocka_unit_test(large_numbers_do_not_wrap),
	    cmocka_unit_test(root_has_a_rate_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
