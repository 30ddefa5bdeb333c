/* links: tests/schedule/harness.o */
/* Waiters and holders of the real daemon, by the real command, that die at a grant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schedule.h"

static char dir[] = "/tmp/schedule.XXXXXX";
static char sock[PATH_MAX], gate[PATH_MAX];
static int repeats = 1000, terminal;

static const char *const daemon_argv[] = {
    BUILD_DIR "/ttylockd", "--socket", sock, "--log-level", "error", NULL};
static const char *const hold[] = {BUILD_DIR "/ttylock", "exec", "--", "cat", gate, NULL};
static const char *const pass[] = {BUILD_DIR "/ttylock", "exec", "--", "true", NULL};

/* A session without a terminal of its own, on the test's. */
static int place(void *context)
{
	(void)context;
	ACTOR_EXPECT(setsid() > 0);
	ACTOR_EXPECT(setenv("TTYLOCK_SOCKET", sock, 1) == 0);
	ACTOR_EXPECT(setenv("TTYLOCK_TTY", ptsname(terminal), 1) == 0);
	return 0;
}

/* The holder's command ends. */
static bool open_gate(void *context)
{
	int fd = open(gate, O_WRONLY | O_CLOEXEC);

	(void)context;
	return fd >= 0 && close(fd) == 0;
}

#define ACTORS                                                                                     \
	{                                                                                          \
		{"daemon", PROGRAM, .argv = daemon_argv},                                          \
		    {"holder", PROGRAM, .run = place, .argv = hold},                               \
		    {"first", PROGRAM, .run = place, .argv = pass},                                \
		{                                                                                  \
			"second", PROGRAM, .run = place, .argv = pass                              \
		}                                                                                  \
	}

/* Both wait for the holder; the daemon stands still. */
#define ALL_ARE_THERE                                                                              \
	{"daemon", UNTIL, "server.ready"}, {"holder", GO}, {"daemon", UNTIL, "broker.granted"},    \
	    {"first", GO}, {"daemon", UNTIL, "broker.queued"}, {"second", GO},                     \
	{                                                                                          \
		"daemon", UNTIL, "broker.queued"                                                   \
	}

/* The daemon has looked, the waiter lived, and is granted the terminal dead. */
static const struct schedule waiter_dies_at_grant = {
    .title = "the first waiter dies when it was seen alive and is not granted yet",
    .actors = ACTORS,
    .steps =
	{
	    ALL_ARE_THERE,
	    {"daemon", GO},
	    {NULL, CHECK, "the holder's command may end", .check = open_gate},
	    {"daemon", UNTIL, "broker.settled-not-released"},
	    {"first", KILL},
	    {"daemon", GO},
	    {"second", FINISH},
	    {"holder", FINISH},
	},
};

/* The daemon finds out about neither before it has to choose. */
static const struct schedule holder_and_waiter_die = {
    .title = "the holder dies and the first waiter with it",
    .actors = ACTORS,
    .steps =
	{
	    ALL_ARE_THERE,
	    {"holder", KILL},
	    {"first", KILL},
	    {"daemon", GO},
	    {"second", FINISH},
	},
};

static void test_schedule(void **state)
{
	assert_true(schedule_repeat(*state, repeats, NULL));
}

static int set_up(void **state)
{
	const char *given = getenv("SCHEDULE_REPEATS");

	(void)state;
	if (given)
		repeats = atoi(given);
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof(sock), "%s/socket", dir);
	snprintf(gate, sizeof(gate), "%s/gate", dir);
	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	return mkfifo(gate, 0600) < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	char lock[PATH_MAX + 8];

	(void)state;
	snprintf(lock, sizeof(lock), "%s.lock", sock);
	unlink(lock);
	snprintf(lock, sizeof(lock), "%s.ledger", sock);
	unlink(lock);
	unlink(sock);
	unlink(gate);
	return rmdir(dir);
}

#define SCHEDULE(name)                                                                             \
	{                                                                                          \
#name, test_schedule, NULL, NULL, (void *)&name                                    \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCHEDULE(waiter_dies_at_grant),
	    SCHEDULE(holder_and_waiter_die),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
