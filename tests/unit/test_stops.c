/* clang-format off */
/* links: client/lib/handover.o client/lib/stops.o client/lib/census.o client/lib/readers.o client/lib/runners.o client/lib/input.o client/lib/procfs.o client/lib/foreground.o client/lib/terminal.o -lutil */
/* clang-format on */
/* Who was stopped for reading while the terminal was somebody else's goes on with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../client/lib/foreground.h"
#include "../../client/lib/handover.h"
#include "../../client/lib/procfs.h"

#define PATIENCE_S 30
#define LINE	   "for the reader\n"

static struct {
	int master, tty, gate[2];
	pid_t reader, other; /* of one group, which is in front; the other ignores SIGTTIN */
} scene;

static int read_line(void)
{
	char text[64];

	if (read(scene.gate[0], text, 1) != 1)
		return 1;
	ssize_t n = read(scene.tty, text, sizeof(text));
	return n == sizeof(LINE) - 1 && memcmp(text, LINE, (size_t)n) == 0 ? 0 : 2;
}

static pid_t member(pid_t group, int (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, group);
		while (!fn)
			pause();
		_exit(fn());
	}
	setpgid(pid, group);
	return pid;
}

static bool comes_into(pid_t pid, char state)
{
	struct procfs_stat ps = {0};

	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		if (procfs_stat(pid, &ps) == 0 && ps.state == state)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return false;
}

/* The reader cannot run while we do. */
static void share_a_processor(void)
{
	cpu_set_t set, one;

	CPU_ZERO(&one);
	sched_getaffinity(0, sizeof(set), &set);
	for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &set))
			CPU_SET(i, &one);
	sched_setaffinity(0, sizeof(one), &one);
	sched_setaffinity(scene.reader, sizeof(one), &one);
	sched_setscheduler(scene.reader, SCHED_IDLE, &(struct sched_param){0});
	/* Not everybody may; it only makes sure. */
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
}

static void enter(void)
{
	setsid();
	ioctl(scene.tty, TIOCSCTTY, 0);
	scene.reader = member(0, read_line);
	signal(SIGTTIN, SIG_IGN);
	scene.other = member(scene.reader, NULL);
	foreground_set(scene.tty, scene.reader);
}

static int reads_on(void)
{
	int status;

	if (tcgetpgrp(scene.tty) != scene.reader)
		return 10;
	if (write(scene.master, LINE, sizeof(LINE) - 1) < 0 || !comes_into(scene.reader, 'Z'))
		return 11;
	return waitpid(scene.reader, &status, 0) == scene.reader ? WEXITSTATUS(status) : 12;
}

/* It is stopped when it is held, and let go into that stop when the terminal comes back. */
static int lets_go_into_a_stop(void)
{
	struct handover h;

	enter();
	handover_begin(&h, scene.tty, getpgrp());
	foreground_set(scene.tty, getpgrp());
	if (write(scene.gate[1], "", 1) != 1 || !comes_into(scene.reader, 'T'))
		return 3;
	handover_give(&h, getpgrp());
	if (h.readers.held_count != 1)
		return 4;
	share_a_processor();
	handover_end(&h);
	return reads_on();
}

/* Has the terminal, and the reader, and says how it was, until it is killed. */
static int hold_for_ever(int told)
{
	uint8_t saved[HANDOVER_SAVED_MAX];
	struct handover h;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	handover_begin(&h, scene.tty, getppid());
	foreground_set(scene.tty, getpid());
	if (write(scene.gate[1], "", 1) != 1 || !comes_into(scene.reader, 'T'))
		return 3;
	handover_give(&h, getpid());
	size_t len = handover_save(&h, saved);
	if (write(told, saved, len) != (ssize_t)len)
		return 4;
	for (;;)
		pause();
}

/* The kernel lets it go when its holder dies, which is as well. */
static int is_let_go_by_the_kernel(void)
{
	uint8_t saved[HANDOVER_SAVED_MAX];
	int told[2];

	enter();
	if (pipe(told) < 0)
		return 5;
	pid_t holder = fork();
	if (holder == 0)
		_exit(hold_for_ever(told[1]));
	close(told[1]);
	ssize_t len = read(told[0], saved, sizeof(saved));
	if (len <= 0)
		return 6;
	share_a_processor();
	kill(holder, SIGKILL);
	while (waitpid(holder, NULL, WNOHANG) == 0)
		; /* without leaving the processor to the reader */
	handover_repair(scene.tty, getpgrp(), saved, (size_t)len);
	return reads_on();
}

/* The kernel has looked who is in front before the terminal came back to them, and stops
 * them after that. */
static int was_stopped_too_late(void)
{
	struct handover h;

	enter();
	kill(scene.other, SIGSTOP);
	kill(scene.reader, SIGTTIN);
	if (!comes_into(scene.other, 'T') || !comes_into(scene.reader, 'T'))
		return 3;
	handover_begin(&h, scene.tty, getpgrp());
	handover_give(&h, getpgrp());
	handover_end(&h);
	if (!comes_into(scene.other, 'T'))
		return 4; /* it was stopped by somebody who wants it so */
	return write(scene.gate[1], "", 1) == 1 ? reads_on() : 5;
}

static void play(int (*fn)(void))
{
	int status;

	assert_return_code(openpty(&scene.master, &scene.tty, NULL, NULL, NULL), 0);
	assert_return_code(pipe(scene.gate), 0);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(2 * PATIENCE_S);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(scene.master);
	close(scene.tty);
	close(scene.gate[0]);
	close(scene.gate[1]);
	assert_int_equal(status, 0);
}

static void a_reader_that_is_let_go_into_its_stop(void **state)
{
	(void)state;
	play(lets_go_into_a_stop);
}

static void a_reader_whose_holder_dies(void **state)
{
	(void)state;
	play(is_let_go_by_the_kernel);
}

static void a_stop_that_comes_too_late(void **state)
{
	(void)state;
	play(was_stopped_too_late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_reader_that_is_let_go_into_its_stop),
	    cmocka_unit_test(a_reader_whose_holder_dies),
	    cmocka_unit_test(a_stop_that_comes_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
