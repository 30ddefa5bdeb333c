/* links: tests/schedule/harness.o tests/schedule/kitchen_naive.o tests/schedule/kitchen_mended.o */
/* The three races of a kitchen timer: each schedule shows its fault in every run
 * of the naive version, and in none of the mended one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>

#include "kitchen.h"
#include "schedule.h"

#define REPEATS 1000
#define LONG_MS 3600000

struct kitchen_test {
	const struct kitchen *kitchen;
	struct kitchen_timer *timer;
	_Atomic bool stopped; /* stop() has returned */
	_Atomic int late_rings, started;
	int64_t remaining;
	int faults;
};

static void ring(void *arg)
{
	struct kitchen_test *k = arg;

	k->late_rings += k->stopped;
}

static bool set_up(void *context)
{
	struct kitchen_test *k = context;

	k->stopped = false;
	k->late_rings = k->started = 0;
	k->timer = k->kitchen->new (ring, k);
	return k->timer != NULL;
}

static bool set_up_running(void *context)
{
	struct kitchen_test *k = context;

	return set_up(k) && k->kitchen->start(k->timer, LONG_MS) == 0;
}

static void clear_up(struct kitchen_test *k, bool fault)
{
	k->faults += fault;
	k->kitchen->free(k->timer);
}

static int cook_stops(void *context)
{
	struct kitchen_test *k = context;

	k->kitchen->stop(k->timer);
	k->stopped = true;
	return 0;
}

static int cook_starts(void *context)
{
	struct kitchen_test *k = context;
	int r = k->kitchen->start(k->timer, LONG_MS);

	ACTOR_EXPECT(r == 0 || r == -EBUSY);
	k->started += r == 0;
	return 0;
}

static int cook_looks(void *context)
{
	struct kitchen_test *k = context;

	k->remaining = k->kitchen->remaining(k->timer);
	return 0;
}

/* --- stop during expiry ---------------------------------------------------- */

static int cook_starts_and_stops(void *context)
{
	struct kitchen_test *k = context;

	ACTOR_EXPECT(k->kitchen->start(k->timer, 0) == 0);
	SYNC_POINT("cook.started");
	return cook_stops(k);
}

static bool check_late_ring(void *context)
{
	struct kitchen_test *k = context;

	clear_up(k, k->late_rings > 0);
	return true;
}

static const struct schedule stop_during_expiry = {
    .title = "the cook stops it when its time is up and it has not rung",
    .actors = {{"cook", THREAD, .run = cook_starts_and_stops}, {"timer", FOUND}},
    .steps =
	{
	    {"cook", UNTIL, "cook.started"},
	    {"timer", UNTIL, "timer.expired"},
	    {"cook", UNTIL_OR_END, "timer.stop-waits"},
	    {"cook", GO},
	    {"timer", UNTIL, "timer.rung"},
	    {"timer", GO},
	    {"cook", FINISH},
	},
    .before = set_up,
    .after = check_late_ring,
};

/* --- start while running --------------------------------------------------- */

static bool check_one_started(void *context)
{
	struct kitchen_test *k = context;

	clear_up(k, k->started != 1);
	return true;
}

static const struct schedule two_start = {
    .title = "two cooks start it, and both are told that it is theirs",
    .actors = {{"A", THREAD, .run = cook_starts}, {"B", THREAD, .run = cook_starts}},
    .steps =
	{
	    {"A", UNTIL_OR_END, "timer.free-to-start"},
	    {"B", FINISH},
	    {"A", FINISH},
	},
    .before = set_up,
    .after = check_one_started,
};

/* --- is it running? then how long? ----------------------------------------- */

static bool check_remaining(void *context)
{
	struct kitchen_test *k = context;

	clear_up(k, k->remaining < -1 || k->remaining > LONG_MS);
	return true;
}

static const struct schedule stop_while_looking = {
    .title = "one cook sees it running, another stops it, and the first asks how long",
    .actors = {{"A", THREAD, .run = cook_looks}, {"B", THREAD, .run = cook_stops}},
    .steps =
	{
	    {"A", UNTIL_OR_END, "timer.seen-running"},
	    {"B", FINISH},
	    {"A", FINISH},
	},
    .before = set_up_running,
    .after = check_remaining,
};

/* --- both versions --------------------------------------------------------- */

static int faults_of(const struct kitchen *kitchen, const struct schedule *s)
{
	struct kitchen_test k = {.kitchen = kitchen};

	assert_true(schedule_repeat(s, REPEATS, &k));
	return k.faults;
}

static void test_both(void **state)
{
	const struct schedule *s = *state;

	assert_int_equal(faults_of(&kitchen_naive, s), REPEATS);
	assert_int_equal(faults_of(&kitchen_mended, s), 0);
}

/* --- and the mended one rings at all --------------------------------------- */

struct alarm {
	const struct kitchen *kitchen;
	struct kitchen_timer *timer;
	int rings;
};

/* Stops and starts itself from its own ring, which must not wait for itself. */
static void ring_twice(void *arg)
{
	struct alarm *a = arg;

	a->kitchen->stop(a->timer);
	if (++a->rings < 2)
		a->kitchen->start(a->timer, 0);
	else
		SYNC_POINT("alarm.rung-twice");
}

static bool set_alarm(void *context)
{
	struct alarm *a = context;

	a->rings = 0;
	a->timer = a->kitchen->new (ring_twice, a);
	return a->timer && a->kitchen->start(a->timer, 1) == 0;
}

static bool check_alarm(void *context)
{
	struct alarm *a = context;

	a->kitchen->stop(a->timer);
	int64_t left = a->kitchen->remaining(a->timer);
	a->kitchen->free(a->timer);
	return left == -1 && a->rings == 2;
}

static void test_rings(void **state)
{
	static const struct schedule rings = {
	    .title = "it rings, and again when its own ring has started it",
	    .actors = {{"timer", FOUND}},
	    .steps = {{"timer", UNTIL, "alarm.rung-twice"}, {"timer", GO}},
	    .before = set_alarm,
	    .after = check_alarm,
	};
	struct alarm a = {.kitchen = &kitchen_mended};

	(void)state;
	assert_true(schedule_repeat(&rings, REPEATS, &a));
}

#define BOTH(name)                                                                                 \
	{                                                                                          \
#name, test_both, NULL, NULL, (void *)&name                                        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(stop_during_expiry),
	    BOTH(two_start),
	    BOTH(stop_while_looking),
	    cmocka_unit_test(test_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
