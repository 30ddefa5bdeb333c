/* links: client/lib/census.o client/lib/procfs.o client/lib/terminal.o */
/* Looking for a group's processes again finds those that came, and that joined, since. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/lib/census.h"

#define MAX 8

static struct {
	pid_t pids[MAX];
	int count;
} children, found;

/* Of that group; 0: of its own; -1: of ours. */
static pid_t child(pid_t group)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (group >= 0)
		assert_int_equal(setpgid(pid, group), 0);
	children.pids[children.count++] = pid;
	return pid;
}

static int teardown(void **state)
{
	(void)state;
	while (children.count > 0) {
		kill(children.pids[--children.count], SIGKILL);
		waitpid(children.pids[children.count], NULL, 0);
	}
	return 0;
}

static int note(pid_t pid, void *arg)
{
	(void)arg;
	assert_in_range(found.count, 0, MAX - 1);
	found.pids[found.count++] = pid;
	return 0;
}

static void check(struct census *c, pid_t group, const pid_t *want, int count)
{
	found.count = 0;
	assert_int_equal(census_each_of_group(c, group, note, NULL), 0);
	assert_int_equal(found.count, count);
	for (int i = 0; i < count; i++) {
		bool is_there = false;

		for (int k = 0; k < count; k++)
			is_there |= found.pids[k] == want[i];
		assert_true(is_there);
	}
}

static void finds_who_came_and_who_joined(void **state)
{
	struct census c = {0};
	pid_t first = child(0), other = child(-1), want[] = {first, other, 0, 0};

	(void)state;
	check(&c, first, want, 1);
	assert_int_equal(setpgid(other, first), 0);
	check(&c, first, want, 2);
	want[2] = child(first);
	check(&c, first, want, 3);
	/* Also once a second has passed, for all that it knows. */
	c.taken -= 2000;
	want[3] = child(first);
	check(&c, first, want, 4);
	kill(want[3], SIGKILL);
	waitpid(want[3], NULL, 0);
	check(&c, first, want, 3);
	census_forget(&c);
}

static void *rest(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* Of its own group; it has another thread once it was told to, and says so. */
static pid_t child_with_thread(int tell[2], int told[2])
{
	pthread_t thread;
	char byte = 0;

	assert_int_equal(pipe(tell) | pipe(told), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(tell[0], &byte, 1) != 1 ||
		    pthread_create(&thread, NULL, rest, NULL) != 0 || write(told[1], &byte, 1) != 1)
			_exit(1);
		rest(NULL);
	}
	assert_int_equal(setpgid(pid, 0), 0);
	children.pids[children.count++] = pid;
	return pid;
}

/* Its number is among those given out since. */
static void a_thread_is_no_process(void **state)
{
	struct census c = {0};
	int tell[2], told[2];
	char byte = 0;
	pid_t first = child_with_thread(tell, told);

	(void)state;
	check(&c, first, &first, 1);
	assert_int_equal(write(tell[1], &byte, 1), 1);
	assert_int_equal(read(told[0], &byte, 1), 1);
	check(&c, first, &first, 1);
	for (int i = 0; i < 2; i++) {
		close(tell[i]);
		close(told[i]);
	}
	census_forget(&c);
}

static int stop_at(pid_t pid, void *arg)
{
	*(pid_t *)arg = pid;
	return 7;
}

static void ends_where_it_is_told_to(void **state)
{
	struct census c = {0};
	pid_t first = child(0), second = child(first), at = 0;

	(void)state;
	assert_int_equal(census_each_of_group(&c, first, stop_at, &at), 7);
	assert_true(at == first || at == second);
	census_forget(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(finds_who_came_and_who_joined, teardown),
	    cmocka_unit_test_teardown(a_thread_is_no_process, teardown),
	    cmocka_unit_test_teardown(ends_where_it_is_told_to, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
