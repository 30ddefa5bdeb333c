/* links: tests/schedule/harness.o */
/* The harness drives programs that only have sync points in them, and leaves
 * nothing of anybody behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schedule.h"

#define REPEATS 200

static char tally[] = "/tmp/tally.XXXXXX";
static const char *const add_one[] = {BUILD_DIR "/tests/schedule/tally", tally, NULL};
static const char *const child_adds_one[] = {BUILD_DIR "/tests/schedule/tally", "-c", tally, NULL};

static bool begin_tally(void *context)
{
	int fd = open(tally, O_WRONLY | O_TRUNC | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, "0\n", 2) == 2;

	(void)context;
	close(fd);
	return good;
}

static bool check_tally(void *context)
{
	const int *number = context;
	FILE *f = fopen(tally, "re");
	int n = -1;

	if (!f || fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n == *number;
}

static void test_programs(void **state)
{
	static const struct schedule lost = {
	    .title = "one of two is lost",
	    .actors = {{"A", PROGRAM, .argv = add_one}, {"B", PROGRAM, .argv = add_one}},
	    .steps = {{"A", UNTIL, "tally.read"}, {"B", FINISH}, {"A", FINISH}},
	    .before = begin_tally,
	    .after = check_tally,
	};
	static const struct schedule kept = {
	    .title = "none of two is lost",
	    .actors = {{"A", PROGRAM, .argv = add_one}, {"B", PROGRAM, .argv = add_one}},
	    .steps = {{"A", UNTIL, "tally.written"}, {"B", FINISH}, {"A", FINISH}},
	    .before = begin_tally,
	    .after = check_tally,
	};

	(void)state;
	assert_true(schedule_repeat(&lost, REPEATS, &(int){1}));
	assert_true(schedule_repeat(&kept, REPEATS, &(int){2}));
}

static void test_program_killed(void **state)
{
	static const struct schedule s = {
	    .title = "a program is interrupted, and dies before it has written",
	    .actors = {{"A", PROGRAM, .argv = add_one}, {"B", PROGRAM, .argv = add_one}},
	    .steps = {{"A", SIGNAL_AT, "tally.read", SIGUSR1}, {"A", UNTIL, "tally.signalled"},
		{"B", FINISH}, {"A", KILL}},
	    .before = begin_tally,
	    .after = check_tally,
	};

	(void)state;
	assert_true(schedule_repeat(&s, REPEATS, &(int){1}));
}

static void test_child_of_program(void **state)
{
	static const struct schedule s = {
	    .title = "the child that a program starts dies before it has written",
	    .actors = {{"A", PROGRAM, .argv = child_adds_one}, {"child", FOUND}},
	    .steps = {{"A", GO}, {"child", UNTIL, "tally.read"}, {"child", KILL},
		{"A", FINISH, .value = 2}},
	    .before = begin_tally,
	    .after = check_tally,
	};

	(void)state;
	assert_true(schedule_repeat(&s, REPEATS, &(int){0}));
}

/* --- what is left ---------------------------------------------------------- */

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int half(void *context)
{
	(void)context;
	SYNC_POINT("half.there");
	return 0;
}

static void test_leaves_nothing(void **state)
{
	static const struct schedule s = {
	    .title = "everybody is left in the middle",
	    .actors = {{"A", THREAD, .run = half}, {"B", PROCESS, .run = half},
		{"C", PROGRAM, .argv = add_one}},
	    .steps = {{"A", UNTIL, "half.there"}, {"B", UNTIL, "half.there"},
		{"C", UNTIL, "tally.read"}},
	};
	int before = descriptors();

	(void)state;
	assert_true(begin_tally(NULL));
	assert_true(schedule_repeat(&s, 20, NULL));
	assert_int_equal(descriptors(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int set_up(void **state)
{
	int fd = mkstemp(tally);

	(void)state;
	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_programs),
	    cmocka_unit_test(test_program_killed),
	    cmocka_unit_test(test_child_of_program),
	    cmocka_unit_test(test_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
