/* clang-format off */
/* links: client/lib/handover.o client/lib/census.o client/lib/readers.o client/lib/input.o client/lib/runners.o client/lib/stops.o client/lib/procfs.o client/lib/foreground.o client/lib/terminal.o -lutil */
/* clang-format on */
/* A holder that died leaves the terminal to the next one, who mends it. */
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../client/lib/foreground.h"
#include "../../client/lib/handover.h"

/* Runs fn as the leader of a session on a terminal of its own; its status. */
static int in_session(int (*fn)(int tty))
{
	int master, tty, status;

	assert_return_code(openpty(&master, &tty, NULL, NULL, NULL), 0);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		setsid();
		ioctl(tty, TIOCSCTTY, 0);
		_exit(fn(tty));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(master);
	close(tty);
	return status;
}

/* In front is the group of somebody who has died, and nothing is known of it. */
static void leave_dead_group(int tty, bool raw)
{
	struct termios t;

	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		foreground_set(tty, getpid());
		tcgetattr(tty, &t);
		if (raw)
			cfmakeraw(&t);
		signal(SIGTTOU, SIG_IGN);
		tcsetattr(tty, TCSANOW, &t);
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) < 0)
		;
}

static int repair_dead(int tty)
{
	struct termios t;

	leave_dead_group(tty, true);
	if (tcgetpgrp(tty) == getpgrp())
		return 1;
	handover_repair(tty, getpgrp(), NULL, 0);
	if (tcgetpgrp(tty) != getpgrp())
		return 2;
	return tcgetattr(tty, &t) < 0 || !(t.c_lflag & ICANON) ? 3 : 0;
}

/* What is known is of a holder before that one. */
static int repair_dead_behind_another(int tty)
{
	uint8_t saved[HANDOVER_SAVED_MAX];
	struct handover h;
	struct termios t;

	handover_begin(&h, tty, getpgrp());
	h.group = INT32_MAX;
	size_t len = handover_save(&h, saved);
	leave_dead_group(tty, true);
	handover_repair(tty, getpgrp(), saved, len);
	if (tcgetpgrp(tty) != getpgrp())
		return 2;
	return tcgetattr(tty, &t) < 0 || !(t.c_lflag & ICANON) ? 3 : 0;
}

static void a_dead_group_in_front_behind_another(void **state)
{
	(void)state;
	assert_int_equal(in_session(repair_dead_behind_another), 0);
}

static void a_dead_group_in_front_that_nothing_is_known_of(void **state)
{
	(void)state;
	assert_int_equal(in_session(repair_dead), 0);
}

/* The one in front lives: a shell's job, which took it since. */
static int repair_living(int tty)
{
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	setpgid(pid, pid);
	foreground_set(tty, pid);
	handover_repair(tty, getpgrp(), NULL, 0);
	int r = tcgetpgrp(tty) != pid;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
}

static void a_living_group_in_front_stays(void **state)
{
	(void)state;
	assert_int_equal(in_session(repair_living), 0);
}

/* Who was released by force: in front, with settings of its own; it puts all back a
 * little later than the next one comes, or never. */
static pid_t start_ousted(int tty, bool heeds, uint8_t saved[HANDOVER_SAVED_MAX], size_t *len)
{
	struct handover h;
	struct termios t;

	handover_begin(&h, tty, getpgrp());
	pid_t pid = fork();
	if (pid == 0) {
		while (!heeds)
			pause();
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		handover_lend(&h);
		_exit(7);
	}
	setpgid(pid, pid);
	handover_give(&h, pid);
	*len = handover_save(&h, saved);
	tcgetattr(tty, &t);
	cfmakeraw(&t);
	signal(SIGTTOU, SIG_IGN);
	tcsetattr(tty, TCSANOW, &t);
	return pid;
}

static int repair_after(int tty, bool heeds, int wanted)
{
	uint8_t saved[HANDOVER_SAVED_MAX];
	struct termios t;
	size_t len;
	int status;

	pid_t pid = start_ousted(tty, heeds, saved, &len);
	handover_repair(tty, getpgrp(), saved, len);
	if (tcgetpgrp(tty) != getpgrp())
		return 2;
	if (tcgetattr(tty, &t) < 0 || !(t.c_lflag & ICANON))
		return 3;
	return waitpid(pid, &status, 0) != pid || status != wanted ? 4 : 0;
}

static int repair_heeding(int tty)
{
	return repair_after(tty, true, W_EXITCODE(7, 0));
}

static int repair_heedless(int tty)
{
	return repair_after(tty, false, SIGKILL);
}

static void who_was_ousted_may_put_all_back_itself(void **state)
{
	(void)state;
	assert_int_equal(in_session(repair_heeding), 0);
}

static void who_was_ousted_and_stays_is_ended(void **state)
{
	(void)state;
	assert_int_equal(in_session(repair_heedless), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_dead_group_in_front_that_nothing_is_known_of),
	    cmocka_unit_test(a_dead_group_in_front_behind_another),
	    cmocka_unit_test(a_living_group_in_front_stays),
	    cmocka_unit_test(who_was_ousted_may_put_all_back_itself),
	    cmocka_unit_test(who_was_ousted_and_stays_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
