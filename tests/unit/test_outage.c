/* links: client/lib/outage.o */
/* When a client tries again, starts a daemon, gives up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>

#include "../../client/lib/outage.h"

#define BEGAN 1000000

/* What comes of trying whenever it is time, where nobody ever answers. */
struct course {
	int64_t first, launched, over;
	unsigned tries, launches;
	int64_t longest; /* between two tries */
};

static struct course follow(bool eager, int error, uint32_t chance)
{
	struct outage o = {.eager = eager};
	struct course c = {0};
	int64_t last = BEGAN;

	outage_begin(&o, BEGAN, chance);
	for (int64_t now = BEGAN; !c.over; now++) {
		if (!outage_is_due(&o, now))
			continue;
		if (c.tries++ == 0)
			c.first = now - BEGAN;
		if (now - last > c.longest)
			c.longest = now - last;
		last = now;
		outage_try(&o, now);
		if (!outage_failed(&o, now, error, chance))
			c.over = now - BEGAN;
		if (outage_launches(&o, now) && c.launches++ == 0)
			c.launched = now - BEGAN;
	}
	return c;
}

static void nobody_is_there(void **state)
{
	(void)state;
	for (uint32_t chance = 0; chance < 2000; chance += 7) {
		struct course c = follow(false, -ECONNREFUSED, chance);

		assert_true(c.first <= 50);
		assert_true(c.longest <= 250);
		assert_true(c.launched >= c.first && c.launched <= 800);
		assert_true(c.launches >= 4 && c.launches <= 6);
		assert_in_range(c.over, OUTAGE_MS, OUTAGE_MS + 300);
	}
}

static void the_agent_is_there_at_once(void **state)
{
	(void)state;
	for (uint32_t chance = 0; chance < 2000; chance += 7) {
		struct course c = follow(true, -ENOENT, chance);

		assert_int_equal(c.first, 0);
		assert_int_equal(c.launched, 0);
	}
}

static void many_come_back_at_once(void **state)
{
	(void)state;
	struct course c = follow(false, -EAGAIN, 4711);

	assert_int_equal(c.launches, 0);
	assert_true(c.longest <= 50);
}

/* A program that looks in once an hour, or is stopped for that long, has many tries. */
static void standing_still_is_no_trying(void **state)
{
	struct outage o = {0};
	int64_t now = BEGAN;
	int tries = 0;

	(void)state;
	outage_begin(&o, now, 0);
	do {
		assert_true(outage_is_due(&o, now));
		outage_try(&o, now);
		tries++;
		now += 3600000;
	} while (outage_failed(&o, now - 3600000, -ENOENT, 0));
	assert_in_range(tries, 20, 50);
}

/* When the next try is, which begins then. */
static int64_t next_try(struct outage *o, int64_t now)
{
	while (!outage_is_due(o, now))
		now++;
	outage_try(o, now);
	return now;
}

/* One that lets us in and hangs up does not make us connect for ever, nor fast. */
static void a_daemon_that_hangs_up(void **state)
{
	struct outage o = {0};
	int64_t now = BEGAN;
	int tries = 0;

	(void)state;
	outage_begin(&o, now, 0);
	do {
		now = next_try(&o, now);
		tries++;
	} while (outage_failed(&o, now, -ECONNRESET, 0) && tries < 1000);
	assert_int_equal(tries, OUTAGE_HANGUPS);
	assert_in_range(now - BEGAN, OUTAGE_MS / 2, OUTAGE_MS * 2);
	outage_end(&o);
	outage_begin(&o, now, 17);
	assert_true(outage_is_due(&o, now + 17));
	assert_false(outage_is_due(&o, now + 16));
}

/* Each lets us in and dies before it says so, and the next one comes in time. */
static void daemons_that_die_in_a_row(void **state)
{
	struct outage o = {0};
	int64_t now = BEGAN, met;

	(void)state;
	outage_begin(&o, now, 0);
	for (int i = 1; i < OUTAGE_HANGUPS; i++) {
		now = next_try(&o, now);
		assert_true(outage_failed(&o, now, -ECONNRESET, 0));
		for (met = now; now - met < OUTAGE_MS / 2;) {
			now = next_try(&o, now);
			assert_true(outage_failed(&o, now, -ECONNREFUSED, 0));
		}
	}
	do
		now = next_try(&o, now);
	while (outage_failed(&o, now, -ECONNREFUSED, 0));
	assert_in_range(now - met, OUTAGE_MS, OUTAGE_MS + 300);
	/* A Welcome makes all of that good. */
	outage_end(&o);
	outage_begin(&o, now, 0);
	for (int i = 1; i < OUTAGE_HANGUPS; i++) {
		now = next_try(&o, now);
		assert_true(outage_failed(&o, now, -ECONNRESET, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_is_there),
	    cmocka_unit_test(the_agent_is_there_at_once),
	    cmocka_unit_test(many_come_back_at_once),
	    cmocka_unit_test(standing_still_is_no_trying),
	    cmocka_unit_test(a_daemon_that_hangs_up),
	    cmocka_unit_test(daemons_that_die_in_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
