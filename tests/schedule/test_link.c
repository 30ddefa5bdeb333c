/* links: tests/schedule/theatre.o -l:libprotobuf-nanopb.a */
/* Threads of one process, so with one connection: they read each other's answers,
 * cancel each other's requests, and are released from elsewhere. */
#include <errno.h>

#include "cases.h"
#include "ttylock.h"
#include "turn.h"

/* --- who plays ------------------------------------------------------------- */

static struct ttylock *common; /* a handle that several of them use */
static struct ttylock *other;  /* C's, on the same connection */
static uint64_t request;       /* atomic: A's with it */

static bool open_common(void *context)
{
	request = 0;
	return stage_enter(context) && ttylock_open(&common, stage_terminal(), 0) == 0;
}

static bool close_common(void *context)
{
	ttylock_close(common);
	common = NULL;
	return stage_is_clear(context);
}

static int acquire(const char *name)
{
	struct ttylock_wish wish = {.task_name = name};

	return ttylock_acquire(common, &wish, -1, &request);
}

static int A_is_cancelled(void *context)
{
	(void)context;
	ACTOR_EXPECT(acquire("A") == -ECANCELED);
	ACTOR_EXPECT(ttylock_release(common, request) == -ENOENT);
	return 0;
}

static int A_loses_it(void *context)
{
	(void)context;
	ACTOR_EXPECT(acquire("A") == 0);
	ACTOR_EXPECT(ttylock_release(common, request) == -ENOENT);
	return 0;
}

static int A_keeps_it(void *context)
{
	(void)context;
	ACTOR_EXPECT(acquire("A") == 0);
	ACTOR_EXPECT(ttylock_release(common, request) == 0);
	return 0;
}

static int E_takes_a_turn(void *context)
{
	struct ttylock_wish wish = {.task_name = "E"};
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(ttylock_acquire(common, &wish, -1, &id) == 0);
	ACTOR_EXPECT(ttylock_release(common, id) == 0);
	return 0;
}

static int A_is_interrupted(void *context)
{
	(void)context;
	ACTOR_EXPECT(acquire("A") == -EINTR);
	return 0;
}

static int cancel(void *context)
{
	(void)context;
	ACTOR_EXPECT(ttylock_cancel(common, __atomic_load_n(&request, __ATOMIC_ACQUIRE)) == 0);
	return 0;
}

static int cancel_too_late(void *context)
{
	(void)context;
	ACTOR_EXPECT(
	    ttylock_cancel(common, __atomic_load_n(&request, __ATOMIC_ACQUIRE)) == -ENOENT);
	return 0;
}

static int interrupt(void *context)
{
	(void)context;
	ttylock_interrupt(common);
	return 0;
}

static int C_is_interrupted(void *context)
{
	struct ttylock_wish wish = {.task_name = "C"};
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&other, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(other, &wish, -1, &id) == -EINTR);
	ttylock_close(other);
	return 0;
}

static int interrupt_other(void *context)
{
	(void)context;
	ttylock_interrupt(other);
	return 0;
}

static int dispatch(void *context)
{
	(void)context;
	ACTOR_EXPECT(ttylock_dispatch(common, 0) == 1);
	return 0;
}

/* Somebody has it. With a handle of its own: interrupts are a handle's. */
static int try(void *context)
{
	struct ttylock_wish wish = {.task_name = "C", .nonblock = true};
	struct ttylock *t;
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(t, &wish, -1, &id) == -EBUSY);
	ttylock_close(t);
	return 0;
}

/* --- cancelled by another thread ------------------------------------------- */

static const struct schedule cancelled_at_grant = {
    .title = "X cancels what A has been granted and has not read",
    .actors = {{"A", THREAD, .run = A_is_cancelled}, {"X", THREAD, .run = cancel},
	{"B", PROCESS, .run = B_takes_a_turn}, {"C", PROCESS, .run = C_takes_a_turn}},
    .steps =
	{
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {"C", GO},
	    {NULL, CHECK, "C waits behind A", .check = C_waits},
	    {"B", FINISH},
	    {NULL, CHECK, "the daemon has granted it to A", .check = A_is_granted},
	    {"A", UNTIL, "acquire.granted-not-read"},
	    {"X", FINISH},
	    {"C", FINISH},
	    {"A", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

static const struct schedule cancelled_when_heard = {
    .title = "X cancels what A has read and not looked at",
    .actors = {{"A", THREAD, .run = A_is_cancelled}, {"X", THREAD, .run = cancel}},
    .steps = {{"A", UNTIL, "acquire.heard"}, {"X", FINISH}, {"A", FINISH}},
    .before = open_common,
    .after = close_common,
};

static const struct schedule cancelled_when_done = {
    .title = "X cancels what A is about to be told that it has",
    .actors = {{"A", THREAD, .run = A_loses_it}, {"X", THREAD, .run = cancel}},
    .steps = {{"A", UNTIL, "acquire.done"}, {"X", FINISH}, {"A", FINISH}},
    .before = open_common,
    .after = close_common,
};

static const struct schedule cancelled_too_late = {
    .title = "X sets out to cancel, and A has had its turn meanwhile",
    .actors = {{"A", THREAD, .run = A_keeps_it}, {"X", THREAD, .run = cancel_too_late}},
    .steps = {{"A", UNTIL, "acquire.asked"}, {"X", UNTIL, "cancel.begun"}, {"A", FINISH},
	{"X", FINISH}},
    .before = open_common,
    .after = close_common,
};

/* --- one reads for all ----------------------------------------------------- */

static const struct schedule leader_leaves = {
    .title = "the thread that reads for all leaves as the other's answer comes",
    .actors = {{"A", THREAD, .run = A_is_cancelled}, {"C", THREAD, .run = C_takes_a_turn},
	{"X", THREAD, .run = cancel}, {"B", PROCESS, .run = B_takes_a_turn}},
    .steps =
	{
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {"C", UNTIL, "acquire.waits"},
	    {"X", FINISH},
	    {"A", UNTIL, "acquire.granted-not-read"},
	    {"B", FINISH},
	    {NULL, CHECK, "the daemon has granted it to C", .check = C_is_granted},
	    {"A", UNTIL, "link.lead-passing"},
	    {"A", FINISH},
	    {"C", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

/* C can only look once A has left the lock: as nobody reads any more. */
static const struct schedule leader_leaves_unseen = {
    .title = "the thread that reads for all leaves as another begins to wait",
    .actors = {{"A", THREAD, .run = A_is_cancelled}, {"C", THREAD, .run = C_takes_a_turn},
	{"X", THREAD, .run = cancel}, {"B", PROCESS, .run = B_takes_a_turn}},
    .steps =
	{
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {"C", UNTIL, "acquire.asked"},
	    {"X", FINISH},
	    {"A", UNTIL, "link.lead-passing"},
	    {"C", GO},
	    {"A", FINISH},
	    {"B", FINISH},
	    {"C", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

static const struct schedule dispatched_by_another = {
    .title = "D takes A's answer from the socket before A looks",
    .actors = {{"A", THREAD, .run = A_keeps_it}, {"D", THREAD, .run = dispatch},
	{"B", PROCESS, .run = B_takes_a_turn}},
    .steps =
	{
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {"B", FINISH},
	    {NULL, CHECK, "the daemon has granted it to A", .check = A_is_granted},
	    {"D", FINISH},
	    {"A", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

/* Who is woken and finds nothing goes to sleep again, and for good. */
static const struct schedule interrupted_by_halves = {
    .title = "A looks, woken by C's answer, while it is half interrupted",
    .actors = {{"A", THREAD, .run = A_is_interrupted}, {"C", THREAD, .run = try},
	{"I", THREAD, .run = interrupt}, {"B", PROCESS, .run = B_takes_a_turn}},
    .steps =
	{
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {NULL, CHECK, "A waits at the daemon", .check = A_waits},
	    {"I", UNTIL, "interrupt.half"},
	    {"C", GO},
	    {"A", UNTIL, "acquire.granted-not-read"},
	    {"A", UNTIL, "acquire.waits"},
	    {"I", FINISH},
	    {"A", FINISH},
	    {"C", FINISH},
	    {"B", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

/* Only the one who reads for all is stirred, and tells the others. */
static const struct schedule follower_is_interrupted = {
    .title = "C, with a handle of its own, is interrupted while A reads for it and for E",
    .actors = {{"A", THREAD, .run = A_keeps_it}, {"E", THREAD, .run = E_takes_a_turn},
	{"C", THREAD, .run = C_is_interrupted}, {"I", THREAD, .run = interrupt_other},
	{"B", PROCESS, .run = B_takes_a_turn}},
    .steps =
	{
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {"E", UNTIL, "acquire.waits"},
	    {"C", UNTIL, "acquire.waits"},
	    {"I", FINISH},
	    {"A", UNTIL, "acquire.granted-not-read"},
	    {"A", UNTIL, "acquire.waits"},
	    {"C", FINISH},
	    {"B", FINISH},
	    {"A", FINISH},
	    {"E", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

static const struct schedule interrupted_unheard = {
    .title = "A is stirred for C, which has looked and does not wait yet",
    .actors = {{"A", THREAD, .run = A_keeps_it}, {"C", THREAD, .run = C_is_interrupted},
	{"I", THREAD, .run = interrupt_other}, {"B", PROCESS, .run = B_takes_a_turn}},
    .steps =
	{
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {"C", UNTIL, "acquire.looked"},
	    {"I", FINISH},
	    {"A", UNTIL, "acquire.granted-not-read"},
	    {"A", UNTIL, "acquire.waits"},
	    {"A", GO},
	    {"C", FINISH},
	    {"B", FINISH},
	    {"A", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

/* --- released from both sides ---------------------------------------------- */

static const struct schedule release_crosses_force = {
    .title = "A's release comes when it has been forced, and C has the terminal",
    .actors = {{"A", THREAD, .run = A_keeps_it}, {"C", PROCESS, .run = C_takes_a_turn}},
    .steps =
	{
	    {"A", UNTIL, "release.begun"},
	    {"C", GO},
	    {NULL, CHECK, "C waits", .check = C_waits},
	    {NULL, CHECK, "A is made to release", .check = holder_is_forced},
	    {"C", UNTIL, "turn.held"},
	    {"A", FINISH},
	    {NULL, CHECK, "C has it still", .check = C_is_granted},
	    {"C", FINISH},
	},
    .before = open_common,
    .after = close_common,
};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCHEDULE(cancelled_at_grant),
	    SCHEDULE(cancelled_when_heard),
	    SCHEDULE(cancelled_when_done),
	    SCHEDULE(cancelled_too_late),
	    SCHEDULE(leader_leaves),
	    SCHEDULE(leader_leaves_unseen),
	    SCHEDULE(dispatched_by_another),
	    SCHEDULE(interrupted_by_halves),
	    SCHEDULE(follower_is_interrupted),
	    SCHEDULE(interrupted_unheard),
	    SCHEDULE(release_crosses_force),
	};

	return cmocka_run_group_tests(tests, cases_with_daemon, cases_over);
}
