/* links: tests/schedule/theatre.o -l:libprotobuf-nanopb.a */
/* The first of two who wait dies at each moment in which the daemon hands the
 * terminal over: the second gets it, and is told in which order it is. */
#include "cases.h"
#include "turn.h"

static int B_takes_a_turn_and_ends(void *context)
{
	(void)context;
	return turn_take_and_leave("B");
}

static int C_finds_it_clean(void *context)
{
	(void)context;
	return turn_take_clean("C");
}

static int C_finds_it_dirty(void *context)
{
	(void)context;
	return turn_take_dirty("C");
}

/* B has it, A waits for it, and then C; the daemon stands still. */
#define ALL_ARE_THERE                                                                              \
	{"daemon", UNTIL, "server.ready"}, {"B", GO}, {"daemon", UNTIL, "broker.granted"},         \
	    {"B", UNTIL, "turn.held"}, {"A", GO}, {"daemon", UNTIL, "broker.queued"}, {"C", GO},   \
	{                                                                                          \
		"daemon", UNTIL, "broker.queued"                                                   \
	}

#define ACTORS(next)                                                                               \
	{                                                                                          \
		{"daemon", PROGRAM, .argv = stage_daemon}, {"A", PROCESS, .run = A_takes_a_turn},  \
		    {"B", PROCESS, .run = B_takes_a_turn_and_ends},                                \
		{                                                                                  \
			"C", PROCESS, .run = next                                                  \
		}                                                                                  \
	}

/* Were it granted to the dead, C would have it dirty. */
static const struct schedule first_is_dead = {
    .title = "B has released, and the daemon has not noticed that A is dead",
    .actors = ACTORS(C_finds_it_clean),
    .steps = {ALL_ARE_THERE, {"B", FINISH}, {"A", KILL},
	{"daemon", UNTIL, "broker.settled-not-released"}, {"daemon", GO}, {"C", FINISH}},
    .before = stage_enter,
    .after = stage_is_left,
};

static const struct schedule first_dies_when_seen = {
    .title = "A is seen alive, and dies before B's release counts",
    .actors = ACTORS(C_finds_it_dirty),
    .steps = {ALL_ARE_THERE, {"B", FINISH}, {"daemon", UNTIL, "broker.settled-not-released"},
	{"A", KILL}, {"daemon", GO}, {"C", FINISH}},
    .before = stage_enter,
    .after = stage_is_left,
};

static const struct schedule first_dies_when_it_has_it = {
    .title = "A has the terminal and dies before it is told",
    .actors = ACTORS(C_finds_it_dirty),
    .steps = {ALL_ARE_THERE, {"B", FINISH}, {"daemon", UNTIL, "broker.ended-not-granted"},
	{"A", KILL}, {"daemon", GO}, {"C", FINISH}},
    .before = stage_enter,
    .after = stage_is_left,
};

static const struct schedule first_dies_with_the_holder = {
    .title = "the daemon knows that B is dead, and A dies before B's hold ends",
    .actors = ACTORS(C_finds_it_dirty),
    .steps = {ALL_ARE_THERE, {"B", KILL}, {"daemon", UNTIL, "peer.gone-not-dropped"}, {"A", KILL},
	{"daemon", GO}, {"C", FINISH}},
    .before = stage_enter,
    .after = stage_is_left,
};

static const struct schedule first_dies_when_seen_at_a_death = {
    .title = "A is seen alive, and dies before the dead B's hold ends",
    .actors = ACTORS(C_finds_it_dirty),
    .steps = {ALL_ARE_THERE, {"B", KILL}, {"daemon", UNTIL, "broker.settled-not-dropped"},
	{"A", KILL}, {"daemon", GO}, {"C", FINISH}},
    .before = stage_enter,
    .after = stage_is_left,
};

/* What it said before counts. */
static const struct schedule releases_and_ends = {
    .title = "the daemon learns of B's release and of its end at once",
    .actors = {{"daemon", PROGRAM, .argv = stage_daemon},
	{"B", PROCESS, .run = B_takes_a_turn_and_ends}, {"C", PROCESS, .run = C_finds_it_clean}},
    .steps =
	{
	    {"daemon", UNTIL, "server.ready"},
	    {"B", GO},
	    {"daemon", UNTIL, "broker.granted"},
	    {"B", UNTIL, "turn.held"},
	    {"C", GO},
	    {"daemon", UNTIL, "broker.queued"},
	    {"B", FINISH},
	    {"daemon", GO},
	    {"C", FINISH},
	},
    .before = stage_enter,
    .after = stage_is_left,
};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCHEDULE(first_is_dead),
	    SCHEDULE(first_dies_when_seen),
	    SCHEDULE(first_dies_when_it_has_it),
	    SCHEDULE(first_dies_with_the_holder),
	    SCHEDULE(first_dies_when_seen_at_a_death),
	    SCHEDULE(releases_and_ends),
	};

	return cmocka_run_group_tests(tests, cases_without_daemon, cases_over);
}
