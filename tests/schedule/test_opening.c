/* links: tests/schedule/theatre.o -l:libprotobuf-nanopb.a */
/* Threads of one process that open, close and fork at the same time: nobody sees
 * half of the connection, and the child of a fork finds no lock taken. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "ttylock.h"
#include "turn.h"

/* --- who plays ------------------------------------------------------------- */

static struct ttylock *handle; /* A's, which F's child has a copy of */
static uint64_t request;

static int open_and_close(void *context)
{
	struct ttylock *t;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ttylock_close(t);
	return 0;
}

static int hold(void *context)
{
	struct ttylock_wish wish = {.task_name = "A"};

	(void)context;
	ACTOR_EXPECT(ttylock_open(&handle, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(handle, &wish, -1, &request) == 0);
	SYNC_POINT("hold.held");
	ACTOR_EXPECT(ttylock_release(handle, request) == 0);
	ttylock_close(handle);
	handle = NULL;
	return 0;
}

static int fork_child(void *context)
{
	int status;

	(void)context;
	SYNC_POINT("fork.coming");
	pid_t child = fork();
	if (child == 0)
		_exit(turn_of_child(handle, request));
	ACTOR_EXPECT(waitpid(child, &status, 0) == child && status == 0);
	return 0;
}

/* --- opening and closing at once ------------------------------------------- */

static const struct schedule opens_what_closes = {
    .title = "A has given the last handle up, and C opens one before it is gone",
    .actors = {{"A", THREAD, .run = open_and_close}, {"C", THREAD, .run = C_takes_a_turn}},
    .steps = {{"A", UNTIL, "link.last-put"}, {"C", FINISH}, {"A", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

static const struct schedule closes_before_it_is_found = {
    .title = "A is about to look for the connection, and C closes it",
    .actors = {{"A", THREAD, .run = A_takes_a_turn}, {"C", THREAD, .run = C_takes_a_turn}},
    .steps = {{"C", UNTIL, "turn.held"}, {"A", UNTIL, "link.getting"}, {"C", FINISH},
	{"A", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

static const struct schedule closes_after_it_was_found = {
    .title = "A has found the connection, and C closes its handle of it",
    .actors = {{"A", THREAD, .run = A_takes_a_turn}, {"C", THREAD, .run = C_takes_a_turn}},
    .steps = {{"C", UNTIL, "turn.held"}, {"A", UNTIL, "link.opening"}, {"C", FINISH},
	{"A", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

/* --- forks ----------------------------------------------------------------- */

/* F can only fork when A has left the lock; the child has it, and free. A keeps its
 * handle until then: closing one that is in use is nobody's right. */
static const struct schedule forks_under_lock = {
    .title = "F forks while A holds the connection's lock",
    .actors = {{"A", THREAD, .run = hold}, {"F", THREAD, .run = fork_child}},
    .steps = {{"A", UNTIL, "link.lead-passing"}, {"F", UNTIL, "fork.coming"}, {"F", GO},
	{"A", UNTIL, "hold.held"}, {"F", FINISH}, {"A", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

static const struct schedule forks_while_opening = {
    .title = "F forks while A is about to connect, and the child connects",
    .actors = {{"A", THREAD, .run = open_and_close}, {"F", THREAD, .run = fork_child}},
    .steps = {{"A", UNTIL, "link.opening"}, {"F", FINISH}, {"A", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

static const struct schedule forks_while_closing = {
    .title = "F forks while A's connection is in no list and not closed",
    .actors = {{"A", THREAD, .run = open_and_close}, {"F", THREAD, .run = fork_child}},
    .steps = {{"A", UNTIL, "link.last-put"}, {"F", FINISH}, {"A", FINISH}},
    .before = stage_enter,
    .after = stage_is_clear,
};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCHEDULE(opens_what_closes),
	    SCHEDULE(closes_before_it_is_found),
	    SCHEDULE(closes_after_it_was_found),
	    SCHEDULE(forks_under_lock),
	    SCHEDULE(forks_while_opening),
	    SCHEDULE(forks_while_closing),
	};

	return cmocka_run_group_tests(tests, cases_with_daemon, cases_over);
}
