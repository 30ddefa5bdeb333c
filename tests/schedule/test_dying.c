/* links: tests/schedule/theatre.o -l:libprotobuf-nanopb.a */
/* A holder that dies in the middle of what the library does for it: the next one
 * has the terminal, as it was. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "cases.h"
#include "ttylock.h"
#include "turn.h"

/* --- with the terminal in its hands ---------------------------------------- */

static struct termios settings;

/* Not those that one who takes the terminal gives it. */
static bool set_terminal(void *context)
{
	if (tcgetattr(stage_terminal(), &settings) < 0)
		return false;
	settings.c_lflag &= ~(tcflag_t)ECHO;
	return tcsetattr(stage_terminal(), TCSANOW, &settings) == 0 && stage_enter(context);
}

static bool is_as_it_was(void *context)
{
	struct termios now;

	return tcgetattr(stage_terminal(), &now) == 0 && now.c_lflag == settings.c_lflag &&
	       stage_is_clear(context);
}

static int take(const char *name)
{
	struct ttylock_wish wish = {.task_name = name};
	struct termios now;
	struct ttylock *t;
	uint64_t id;

	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(t, &wish, -1, &id) == 0);
	ACTOR_EXPECT(ttylock_take_terminal(t, id) == 0);
	ACTOR_EXPECT(tcgetattr(stage_terminal(), &now) == 0 && (now.c_lflag & ECHO));
	ttylock_close(t);
	return 0;
}

static int A_takes(void *context)
{
	(void)context;
	return take("A");
}

static int C_takes(void *context)
{
	(void)context;
	return take("C");
}

static const struct schedule dies_taking = {
    .title = "A dies when it has changed the terminal and left word of how it was",
    .actors = {{"A", PROCESS, .run = A_takes}, {"C", PROCESS, .run = C_takes}},
    .steps = {{"A", UNTIL, "take.saved-not-given"}, {"C", UNTIL, "acquire.waits"}, {"A", KILL},
	{"C", FINISH}},
    .before = set_terminal,
    .after = is_as_it_was,
};

/* --- with a crash in its hands --------------------------------------------- */

static int A_crashes(void *context)
{
	(void)context;
	signal(SIGSEGV, SIG_DFL); /* no sanitizer's */
	setenv("TTYLOCK_HELPER", "/bin/true", 1);
	ACTOR_EXPECT(ttylock_crash_handler_install() == 0);
	return turn_take("A");
}

static const struct schedule dies_crashing = {
    .title = "A crashes, and is killed before its handler has done anything",
    .actors = {{"A", PROCESS, .run = A_crashes}, {"C", PROCESS, .run = C_takes_a_turn}},
    .steps = {{"A", SIGNAL_AT, "turn.held", SIGSEGV}, {"A", UNTIL, "crash.entered"},
	{"C", UNTIL, "acquire.waits"}, {"A", KILL}, {"C", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

static const struct schedule crashes_without_help = {
    .title = "A crashes, nobody helps, and C waits until it has died of it",
    .actors = {{"A", PROCESS, .run = A_crashes}, {"C", PROCESS, .run = C_takes_a_turn}},
    .steps = {{"A", SIGNAL_AT, "turn.held", SIGSEGV}, {"A", UNTIL, "crash.before-restore"},
	{"C", UNTIL, "acquire.waits"}, {"A", DIES, .value = SIGSEGV}, {"C", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCHEDULE(dies_taking),
	    SCHEDULE(dies_crashing),
	    SCHEDULE(crashes_without_help),
	};

	return cmocka_run_group_tests(tests, cases_with_daemon, cases_over);
}
