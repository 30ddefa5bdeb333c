/* links: tests/schedule/harness.o */
/* The harness itself: threads, processes and signals come in the order
 * of the schedule, and a schedule that cannot come says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "schedule.h"

#define REPEATS 1000

/* What happened, in its order; seen by forked processes as well. */
struct diary {
	_Atomic unsigned n;
	_Atomic char text[16];
};

static struct diary *diary;

static void write_down(char c)
{
	diary->text[diary->n++ % sizeof(diary->text)] = c;
}

static bool begin_diary(void *context)
{
	(void)context;
	diary->n = 0;
	for (size_t i = 0; i < sizeof(diary->text); i++)
		diary->text[i] = '\0';
	return true;
}

static const char *wanted;

static bool check_diary(void *context)
{
	(void)context;
	for (size_t i = 0; i <= strlen(wanted); i++)
		if (diary->text[i] != wanted[i])
			return false;
	return true;
}

static bool writes(const struct schedule *s, int times, const char *text)
{
	wanted = text;
	return schedule_repeat(s, times, NULL);
}

static int lower(void *context)
{
	(void)context;
	SYNC_POINT("lower.begun");
	write_down('a');
	SYNC_POINT("lower.half");
	write_down('b');
	return 0;
}

static int upper(void *context)
{
	(void)context;
	write_down('A');
	SYNC_POINT("upper.half");
	write_down('B');
	return 0;
}

/* --- orders ---------------------------------------------------------------- */

static void test_threads_one_way(void **state)
{
	static const struct schedule s = {
	    .title = "A first",
	    .actors = {{"low", THREAD, .run = lower}, {"up", THREAD, .run = upper}},
	    .steps = {{"low", UNTIL, "lower.half"}, {"up", FINISH}, {"low", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, REPEATS, "aABb"));
}

static void test_threads_other_way(void **state)
{
	static const struct schedule s = {
	    .title = "B first",
	    .actors = {{"low", THREAD, .run = lower}, {"up", THREAD, .run = upper}},
	    .steps = {{"up", UNTIL, "upper.half"}, {"low", UNTIL, "lower.half"}, {"up", FINISH},
		{"low", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, REPEATS, "AaBb"));
}

static void test_process_and_thread(void **state)
{
	static const struct schedule s = {
	    .title = "a process and a thread",
	    .actors = {{"low", PROCESS, .run = lower}, {"up", THREAD, .run = upper}},
	    .steps = {{"low", UNTIL, "lower.half"}, {"up", UNTIL, "upper.half"}, {"low", FINISH},
		{"up", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, REPEATS, "aAbB"));
}

static void test_killed_between(void **state)
{
	static const struct schedule s = {
	    .title = "it dies half-way, and the other goes on",
	    .actors = {{"low", PROCESS, .run = lower}, {"up", PROCESS, .run = upper}},
	    .steps = {{"up", UNTIL, "upper.half"}, {"low", UNTIL, "lower.half"}, {"low", KILL},
		{"up", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, REPEATS, "AaB"));
}

static bool half_written(void *context)
{
	(void)context;
	return diary->n == 1;
}

static void test_check_between(void **state)
{
	static const struct schedule s = {
	    .title = "a look at what is there in between",
	    .actors = {{"low", PROCESS, .run = lower}},
	    .steps = {{"low", UNTIL, "lower.half"},
		{NULL, CHECK, "half of it is written", .check = half_written}, {"low", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, 10, "ab"));
}

/* --- signals --------------------------------------------------------------- */

static void on_signal(int sig)
{
	(void)sig;
	write_down('(');
	SYNC_POINT("handler.half");
	write_down(')');
}

static int lower_with_handler(void *context)
{
	struct sigaction act = {.sa_handler = on_signal};

	sigaction(SIGINT, &act, NULL);
	errno = EDOM;
	SYNC_POINT("lower.with-handler");
	ACTOR_EXPECT(errno == EDOM);
	return lower(context);
}

static const struct schedule signal_at_thread = {
    .title = "a signal at a point: the handler runs there, and not later",
    .actors = {{"low", THREAD, .run = lower_with_handler}, {"up", THREAD, .run = upper}},
    .steps = {{"low", SIGNAL_AT, "lower.half", SIGINT}, {"up", FINISH}, {"low", FINISH}},
    .before = begin_diary,
    .after = check_diary,
};

static void test_signal_at_thread(void **state)
{
	(void)state;
	assert_true(writes(&signal_at_thread, REPEATS, "a()ABb"));
}

static void test_signal_at_process(void **state)
{
	struct schedule s = signal_at_thread;

	(void)state;
	s.actors[0].kind = PROCESS;
	assert_true(writes(&s, REPEATS, "a()ABb"));
}

static void test_stop_in_handler(void **state)
{
	static const struct schedule s = {
	    .title = "the handler stops at a point of its own, on top of the first",
	    .actors = {{"low", THREAD, .run = lower_with_handler}, {"up", THREAD, .run = upper}},
	    .steps = {{"low", SIGNAL_AT, "lower.half", SIGINT}, {"low", UNTIL, "handler.half"},
		{"up", FINISH}, {"low", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, REPEATS, "a(AB)b"));
}

static void test_dies_by_signal(void **state)
{
	static const struct schedule s = {
	    .title = "a signal that is the end",
	    .actors = {{"low", PROCESS, .run = lower}, {"up", PROCESS, .run = upper}},
	    .steps = {{"low", SIGNAL_AT, "lower.half", SIGTERM}, {"low", DIES, .value = SIGTERM},
		{"up", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, REPEATS, "aAB"));
}

/* A blocked or ignored signal has been dealt with, too. */
static int ignoring(void *context)
{
	signal(SIGINT, SIG_IGN);
	return lower(context);
}

static void test_ignored_signal(void **state)
{
	static const struct schedule s = {
	    .title = "a signal that is ignored",
	    .actors = {{"low", PROCESS, .run = ignoring}},
	    .steps = {{"low", SIGNAL_AT, "lower.half", SIGINT}, {"low", FINISH}},
	    .before = begin_diary,
	    .after = check_diary,
	};

	(void)state;
	assert_true(writes(&s, 100, "ab"));
}

/* --- schedules that do not come -------------------------------------------- */

/* What it prints when it fails, to be freed. */
static char *complaint(const struct schedule *given)
{
	struct schedule s = *given;
	char *text = NULL;
	size_t len;

	s.out = open_memstream(&text, &len);
	s.before = begin_diary;
	s.patience_ms = 100;
	assert_non_null(s.out);
	assert_false(schedule_repeat(&s, 2, NULL));
	fclose(s.out);
	return text;
}

static void assert_complains(const struct schedule *s, const char *const *words)
{
	char *text = complaint(s);

	for (; *words; words++) {
		if (!strstr(text, *words))
			fail_msg("not said: %s\n%s", *words, text);
	}
	free(text);
}

static void test_step_that_does_not_come(void **state)
{
	static const struct schedule s = {
	    .title = "in vain",
	    .actors = {{"low", THREAD, .run = lower}, {"up", PROCESS, .run = upper},
		{"ghost", FOUND}},
	    .steps = {{"low", UNTIL, "lower.half"}, {"up", GO}, {"ghost", UNTIL, "ghost.there"},
		{"low", FINISH}},
	};
	static const char *const words[] = {
	    "schedule \"in vain\": not in time",
	    "ok  1 low goes on until lower.half",
	    "->  3 ghost goes on until ghost.there   <- not in time",
	    "     4 low goes on and ends with status 0",
	    "low: stands at lower.half",
	    "up: has ended with status 0",
	    "ghost: has not come; its next stop is ghost.there",
	    "in run 1 of 2",
	    NULL,
	};

	(void)state;
	assert_complains(&s, words);
}

static int fails(void *context)
{
	(void)context;
	return 3;
}

static void test_other_end(void **state)
{
	static const struct schedule wrong_status = {
	    .title = "fails",
	    .actors = {{"A", PROCESS, .run = fails}},
	    .steps = {{"A", FINISH}},
	};
	static const struct schedule too_early = {
	    .title = "never there",
	    .actors = {{"A", PROCESS, .run = fails}},
	    .steps = {{"A", UNTIL, "a.there"}},
	};

	(void)state;
	assert_complains(&wrong_status,
	    (const char *const[]){"it has ended otherwise", "A: has ended with status 3", NULL});
	assert_complains(&too_early,
	    (const char *const[]){"it has ended instead", "A: has ended with status 3", NULL});
}

/* At once, whoever waits for whom. */
static void test_no_such_program(void **state)
{
	static const char *const absent[] = {"/nonexistent", NULL};
	static const struct schedule s = {
	    .title = "waits for what cannot come",
	    .actors = {{"A", PROGRAM, .argv = absent}, {"ghost", FOUND}},
	    .steps = {{"A", GO}, {"ghost", UNTIL, "ghost.there"}},
	};

	(void)state;
	assert_complains(&s, (const char *const[]){"a program cannot be executed",
				 "A: has ended with status 127", NULL});
}

static void test_wrong_schedules(void **state)
{
	static const struct schedule nobody = {
	    .title = "nobody",
	    .actors = {{"A", THREAD, .run = lower}},
	    .steps = {{"B", FINISH}},
	};
	static const struct schedule thread_killed = {
	    .title = "thread",
	    .actors = {{"A", THREAD, .run = lower}},
	    .steps = {{"A", KILL}},
	};

	(void)state;
	assert_complains(&nobody, (const char *const[]){"no such actor", NULL});
	assert_complains(
	    &thread_killed, (const char *const[]){"a thread does not die alone", NULL});
}

static int set_up_all(void **state)
{
	(void)state;
	diary =
	    mmap(NULL, sizeof(*diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return diary == MAP_FAILED ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_threads_one_way),
	    cmocka_unit_test(test_threads_other_way),
	    cmocka_unit_test(test_process_and_thread),
	    cmocka_unit_test(test_killed_between),
	    cmocka_unit_test(test_check_between),
	    cmocka_unit_test(test_signal_at_thread),
	    cmocka_unit_test(test_signal_at_process),
	    cmocka_unit_test(test_stop_in_handler),
	    cmocka_unit_test(test_dies_by_signal),
	    cmocka_unit_test(test_ignored_signal),
	    cmocka_unit_test(test_step_that_does_not_come),
	    cmocka_unit_test(test_other_end),
	    cmocka_unit_test(test_no_such_program),
	    cmocka_unit_test(test_wrong_schedules),
	};

	return cmocka_run_group_tests(tests, set_up_all, NULL);
}
