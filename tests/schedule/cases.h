/* cases: schedules on the stage as the tests of a program of cmocka's.
 *
 * CASES_REPEATS: how often to perform each, where that is not stage_repeats().
 */
#ifndef TTYLOCK_TESTS_CASES_H
#define TTYLOCK_TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "schedule.h"
#include "stage.h"

#ifndef CASES_REPEATS
#define CASES_REPEATS stage_repeats()
#endif

static inline void case_perform(void **state)
{
	assert_true(schedule_repeat(*state, CASES_REPEATS, NULL));
}

/* Around all of them: with one daemon for all, or each brings its own. */
static inline int cases_with_daemon(void **state)
{
	(void)state;
	return stage_set_up(true);
}

static inline int cases_without_daemon(void **state)
{
	(void)state;
	return stage_set_up(false);
}

static inline int cases_over(void **state)
{
	(void)state;
	return stage_tear_down();
}

#define SCHEDULE(name)                                                                             \
	{                                                                                          \
#name, case_perform, NULL, NULL, (void *)&name                                     \
	}

#endif
