/* links: tests/schedule/theatre.o -l:libprotobuf-nanopb.a */
/* Ctrl-C as shields go up and down in other threads: it is kept back as long as
 * one is up, reaches the program's own handler otherwise, and is never lost. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../../client/lib/sigint_hook.h"
#include "cases.h"
#include "ttylock.h"

/* --- who plays ------------------------------------------------------------- */

static _Atomic int interrupts; /* that the program's own handler had */

static void on_interrupt(int sig)
{
	(void)sig;
	interrupts++;
}

static bool enter(void *context)
{
	struct sigaction ours = {.sa_handler = on_interrupt};

	/* Else the runs' would together be one person's three presses. */
	memset(sigint_state.presses, 0, sizeof(sigint_state.presses));
	interrupts = 0;
	return sigaction(SIGINT, &ours, NULL) == 0 && stage_enter(context);
}

static bool leave(int wanted)
{
	struct sigaction now;

	sigaction(SIGINT, NULL, &now);
	if (now.sa_handler != on_interrupt)
		fprintf(stderr, "afterwards: the program's handler is not back\n");
	if (interrupts != wanted)
		fprintf(stderr, "afterwards: it was called %d times\n", (int)interrupts);
	return stage_is_clear(NULL) && now.sa_handler == on_interrupt && interrupts == wanted;
}

static bool was_kept_back(void *context)
{
	(void)context;
	return leave(0);
}

static bool was_passed_on(void *context)
{
	(void)context;
	return leave(1);
}

static int holder(void *context)
{
	struct ttylock_wish wish = {.task_name = "C", .shield = true};
	struct ttylock *t;
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(t, &wish, -1, &id) == 0);
	SYNC_POINT("turn.held");
	ACTOR_EXPECT(ttylock_release(t, id) == 0);
	ttylock_close(t);
	return 0;
}

static int refused(void *context)
{
	struct ttylock_wish wish = {.task_name = "A", .shield = true, .nonblock = true};
	struct ttylock *t;
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(t, &wish, -1, &id) == -EBUSY);
	ttylock_close(t);
	return 0;
}

static int shielded(void *context)
{
	struct ttylock *t;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_shield(t) == 0);
	SYNC_POINT("shield.up");
	ACTOR_EXPECT(ttylock_unshield(t) == 0);
	ttylock_close(t);
	return 0;
}

static int bystander(void *context)
{
	(void)context;
	SYNC_POINT("bystander.there");
	return 0;
}

/* --- one of two goes ------------------------------------------------------- */

static const struct schedule end_of_another = {
    .title = "the shield of A's request has ended, and C has the terminal behind its own",
    .actors = {{"A", THREAD, .run = refused}, {"C", THREAD, .run = holder}},
    .steps = {{"C", UNTIL, "turn.held"}, {"A", FINISH}, {"C", SIGNAL, .value = SIGINT},
	{"C", FINISH}},
    .before = enter,
    .after = was_kept_back,
};

/* The hook must not want the lock. */
static const struct schedule ending_of_another = {
    .title = "the shield of A's request is ending, and C has the terminal behind its own",
    .actors = {{"A", THREAD, .run = refused}, {"C", THREAD, .run = holder}},
    .steps = {{"C", UNTIL, "turn.held"}, {"A", UNTIL, "sigint.unshielding"},
	{"C", SIGNAL, .value = SIGINT}, {"A", FINISH}, {"C", FINISH}},
    .before = enter,
    .after = was_kept_back,
};

/* --- the first, and the last ----------------------------------------------- */

static const struct schedule before_the_hook = {
    .title = "Ctrl-C when the hook is announced and is not there",
    .actors = {{"A", THREAD, .run = shielded}},
    .steps = {{"A", SIGNAL_AT, "sigint.hook-announced", SIGINT}, {"A", FINISH}},
    .before = enter,
    .after = was_passed_on,
};

static const struct schedule entered_too_late = {
    .title = "S has entered the hook, and C takes the last shield down",
    .actors = {{"S", THREAD, .run = bystander}, {"C", THREAD, .run = shielded}},
    .steps =
	{
	    {"C", UNTIL, "shield.up"},
	    {"S", SIGNAL_AT, "bystander.there", SIGINT},
	    {"S", UNTIL, "sigint.taken"},
	    {"C", UNTIL, "sigint.unshielding"},
	    {"S", FINISH},
	    {"C", FINISH},
	},
    .before = enter,
    .after = was_passed_on,
};

/* C waits for S, whose shield it is: under AddressSanitizer, else it is used
 * when it has been freed. */
static const struct schedule judged_too_late = {
    .title = "S has decided by C's shield, and C closes its handle",
    .actors = {{"S", THREAD, .run = bystander}, {"C", THREAD, .run = shielded}},
    .steps =
	{
	    {"C", UNTIL, "shield.up"},
	    {"S", SIGNAL_AT, "bystander.there", SIGINT},
	    {"S", UNTIL, "sigint.judged"},
	    {"C", UNTIL, "sigint.unshielding"},
	    {"C", GO},
	    {"S", FINISH},
	    {"C", FINISH},
	},
    .before = enter,
    .after = was_passed_on,
};

static const struct schedule passed_on_too_late = {
    .title = "S has left the hook, and everything of it is gone before it passes on",
    .actors = {{"S", THREAD, .run = bystander}, {"C", THREAD, .run = shielded}},
    .steps =
	{
	    {"C", UNTIL, "shield.up"},
	    {"S", SIGNAL_AT, "bystander.there", SIGINT},
	    {"S", UNTIL, "sigint.passing-on"},
	    {"C", FINISH},
	    {"S", FINISH},
	},
    .before = enter,
    .after = was_passed_on,
};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCHEDULE(end_of_another),
	    SCHEDULE(ending_of_another),
	    SCHEDULE(before_the_hook),
	    SCHEDULE(entered_too_late),
	    SCHEDULE(judged_too_late),
	    SCHEDULE(passed_on_too_late),
	};

	return cmocka_run_group_tests(tests, cases_with_daemon, cases_over);
}
