/* links: tests/schedule/theatre.o -l:libprotobuf-nanopb.a */
/* The daemon is killed, and the next one comes, while threads of one process wait,
 * fork, cancel and read each other's answers. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each outage takes a while by design. */
#define CASES_REPEATS (stage_repeats() / 25 + 1)
#include "cases.h"
#include "ttylock.h"
#include "turn.h"

static struct ttylock *common; /* of A, C, X, D, F; A opens and closes it */
static uint64_t request;       /* atomic: A's with it */

static int acquire(const char *name, uint64_t *idp)
{
	struct ttylock_wish wish = {.task_name = name};

	return ttylock_acquire(common, &wish, -1, idp);
}

static int A_keeps_its_place(void *context)
{
	(void)context;
	ACTOR_EXPECT(ttylock_open(&common, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(acquire("A", &request) == 0);
	ACTOR_EXPECT(ttylock_release(common, request) == 0);
	SYNC_POINT("A.closing");
	ttylock_close(common);
	return 0;
}

static int A_is_cancelled(void *context)
{
	(void)context;
	ACTOR_EXPECT(ttylock_open(&common, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(acquire("A", &request) == -ECANCELED);
	SYNC_POINT("A.closing");
	ttylock_close(common);
	return 0;
}

static int C_keeps_its_place(void *context)
{
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(acquire("C", &id) == 0);
	ACTOR_EXPECT(ttylock_release(common, id) == 0);
	return 0;
}

static int cancel(void *context)
{
	(void)context;
	int r = ttylock_cancel(common, __atomic_load_n(&request, __ATOMIC_ACQUIRE));
	/* Nobody is there to hear it; that is for the next one. */
	ACTOR_EXPECT(r == -ECONNRESET);
	return 0;
}

static int dispatch(void *context)
{
	struct ttylock_status s = {0};
	int r;

	(void)context;
	do
		r = ttylock_dispatch(common, -1);
	while (r == 1 && ttylock_get_status(common, request, &s) == 0 && s.state == TTYLOCK_QUEUED);
	ACTOR_EXPECT(r == 1 && s.state == TTYLOCK_GRANTED);
	return 0;
}

static int fork_child(void *context)
{
	int status;

	(void)context;
	pid_t child = fork();
	if (child == 0)
		_exit(turn_of_child(common, request));
	ACTOR_EXPECT(waitpid(child, &status, 0) == child && status == 0);
	return 0;
}

/* Its turn ends while no daemon is there; with a new handle it has another one. */
static int A_owes_an_end(void *context)
{
	struct ttylock *t = NULL;
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&common, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(acquire("A", &id) == 0);
	SYNC_POINT("A.holds");
	ACTOR_EXPECT(ttylock_cancel(common, id) == -ECONNRESET);
	ttylock_close(common);
	SYNC_POINT("A.left");
	int r = ttylock_open(&t, stage_terminal(), 0);
	SYNC_POINT("A.opened");
	if (r < 0)
		r = ttylock_open(&t, stage_terminal(), 0);
	ACTOR_EXPECT(r == 0);
	common = t;
	ACTOR_EXPECT(acquire("A again", &id) == 0);
	ACTOR_EXPECT(ttylock_release(common, id) == 0);
	ttylock_close(common);
	return 0;
}

#define DAEMONS                                                                                    \
	{"daemon", PROGRAM, .argv = stage_daemon},                                                 \
	{                                                                                          \
		"next", PROGRAM, .argv = stage_daemon                                              \
	}
#define ONE_IS_THERE                                                                               \
	{"daemon", UNTIL, "server.ready"},                                                         \
	{                                                                                          \
		"daemon", GO                                                                       \
	}
#define ANOTHER_COMES                                                                              \
	{"daemon", KILL}, {"next", UNTIL, "server.ready"},                                         \
	{                                                                                          \
		"next", GO                                                                         \
	}

static const struct schedule forks_while_mending = {
    .title = "F forks while A connects to the next daemon",
    .actors = {DAEMONS, {"A", THREAD, .run = A_keeps_its_place}, {"F", THREAD, .run = fork_child},
	{"B", PROCESS, .run = B_takes_a_turn}, {"D", PROCESS, .run = D_takes_a_turn}},
    .steps =
	{
	    ONE_IS_THERE,
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    ANOTHER_COMES,
	    {"A", UNTIL, "link.mending"},
	    {"F", GO},
	    {"A", UNTIL, "acquire.waits"},
	    {"F", FINISH},
	    {NULL, CHECK, "A waits at the next daemon", .check = A_waits},
	    {"B", FINISH},
	    {"A", FINISH},
	    {"D", FINISH},
	},
    .before = stage_enter,
    .after = stage_is_left,
};

static const struct schedule mended_by_another = {
    .title = "X connects to the next daemon while A polls the dead one's socket",
    .actors = {DAEMONS, {"A", THREAD, .run = A_keeps_its_place}, {"X", THREAD, .run = dispatch},
	{"B", PROCESS, .run = B_takes_a_turn}, {"D", PROCESS, .run = D_takes_a_turn}},
    .steps =
	{
	    ONE_IS_THERE,
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    ANOTHER_COMES,
	    {"X", GO},
	    {NULL, CHECK, "A waits at the next daemon", .check = A_waits},
	    {"B", FINISH},
	    {"X", FINISH},
	    {"A", FINISH},
	    {"D", FINISH},
	},
    .before = stage_enter,
    .after = stage_is_left,
};

static const struct schedule leader_leaves = {
    .title = "the thread that would connect for all is cancelled while no daemon is there",
    .actors = {DAEMONS, {"A", THREAD, .run = A_is_cancelled},
	{"C", THREAD, .run = C_keeps_its_place}, {"X", THREAD, .run = cancel},
	{"B", PROCESS, .run = B_takes_a_turn}, {"D", PROCESS, .run = D_takes_a_turn}},
    .steps =
	{
	    ONE_IS_THERE,
	    {"B", UNTIL, "turn.held"},
	    {"A", UNTIL, "acquire.waits"},
	    {"C", UNTIL, "acquire.waits"},
	    {"daemon", KILL},
	    {"X", FINISH},
	    {"A", UNTIL, "A.closing"},
	    {"C", GO},
	    {"next", UNTIL, "server.ready"},
	    {"next", GO},
	    {"B", FINISH},
	    {"C", FINISH},
	    {"A", FINISH},
	    {"D", FINISH},
	},
    .before = stage_enter,
    .after = stage_is_left,
};

static const struct schedule opened_in_between = {
    .title = "the daemon that A has greeted dies before it has heard what A owes it",
    .actors = {DAEMONS, {"third", PROGRAM, .argv = stage_daemon},
	{"A", THREAD, .run = A_owes_an_end}, {"B", PROCESS, .run = B_takes_a_turn}},
    .steps =
	{
	    ONE_IS_THERE,
	    {"A", UNTIL, "A.holds"},
	    {"daemon", KILL},
	    {"A", UNTIL, "A.left"},
	    {"next", UNTIL, "server.ready"},
	    {"next", GO},
	    {"A", UNTIL, "link.mending"},
	    {"next", KILL},
	    {"A", UNTIL, "A.opened"},
	    {"third", UNTIL, "server.ready"},
	    {"third", GO},
	    {"A", FINISH},
	    {"B", FINISH},
	},
    .before = stage_enter,
    .after = stage_is_left,
};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCHEDULE(forks_while_mending),
	    SCHEDULE(mended_by_another),
	    SCHEDULE(leader_leaves),
	    SCHEDULE(opened_in_between),
	};

	return cmocka_run_group_tests(tests, cases_without_daemon, cases_over);
}
