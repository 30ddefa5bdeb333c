/* schedule: forces an order on what runs at the same time.
 *
 *	static const struct schedule holder_dies = {
 *	    .title = "the holder dies while the next one is granted",
 *	    .actors = {{"A", THREAD, .run = waiter}, {"B", PROCESS, .run = holder}},
 *	    .steps = {
 *		{"B", UNTIL, "acquire.granted"},
 *		{"A", UNTIL, "acquire.granted-not-read"},
 *		{"B", KILL},
 *		{"A", FINISH},
 *	    },
 *	};
 *	assert_true(schedule_repeat(&holder_dies, 1000, &context));
 *
 * Each actor begins with its first step, stops at the sync points
 * (proto/sync_point.h) that its own steps name, in their order, passes all
 * others, and goes on with its next step. Between its steps it stands still,
 * unless GO has let it run. Nothing sleeps; each step has a deadline, and one
 * that does not come prints the schedule and where everybody stood.
 *
 * The harness knows nothing of what it drives. It orders everything that it
 * stops, so ThreadSanitizer cannot see a data race between two steps: it needs
 * runs without a schedule.
 */
#ifndef TTYLOCK_TESTS_SCHEDULE_H
#define TTYLOCK_TESTS_SCHEDULE_H

#include <stdbool.h>
#include <stdio.h>

#include "sync_point.h"

/* A step says what it needs and no more. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define SCHEDULE_ACTORS 8
#define SCHEDULE_STEPS	31

enum actor_kind {
	THREAD = 1, /* of the test program; run() in it */
	PROCESS,    /* forked; run() in it, and what that returns is its exit status */
	PROGRAM,    /* argv, with the driver preloaded; run(), if any, before exec */
	FOUND,	    /* whoever else comes first to its first point: a thread or a
		     * process that the code itself starts. Its end is not seen. */
};

struct actor {
	const char *name;
	enum actor_kind kind;
	/* 0: all is well. Not with cmocka's assertions, which belong to the
	 * test's own thread: ACTOR_EXPECT(). */
	int (*run)(void *context);
	const char *const *argv;
};

enum act {
	UNTIL = 1,    /* goes on until it comes to the point */
	UNTIL_OR_END, /* the same; that it ends before is fine as well */
	GO,	      /* goes on; nobody waits for it */
	FINISH,	      /* goes on until it ends, with the status value */
	DIES,	      /* goes on until it ends by the signal value */
	KILL,	      /* is killed where it is; not a thread */
	SIGNAL,	      /* gets the signal value where it is. If it stands still: its
		       * handler has returned, has come to a point, or has ended it */
	SIGNAL_AT,    /* UNTIL the point, then SIGNAL */
	CHECK,	      /* check() is true; no actor; the point is its title */
};

struct step {
	const char *actor;
	enum act act;
	const char *point;
	int value;
	bool (*check)(void *context);
};

struct schedule {
	const char *title;
	struct actor actors[SCHEDULE_ACTORS];
	struct step steps[SCHEDULE_STEPS + 1];
	/* Before the actors, and after them; false fails the run. After a
	 * failure after() runs as well, to clean up. A thread that is FOUND must
	 * have ended when after() returns. */
	bool (*before)(void *context);
	bool (*after)(void *context);
	int patience_ms; /* for one step; 0: SCHEDULE_PATIENCE_MS */
	FILE *out;	 /* for failures; NULL: stderr */
};

#ifndef SCHEDULE_PATIENCE_MS
#define SCHEDULE_PATIENCE_MS 20000
#endif

/* In the actor's run(): what is not so is printed and ends it with status 1. */
#define ACTOR_EXPECT(what)                                                                         \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);         \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/* Performs it once. At the end threads are let go and joined, processes killed.
 * True when each step came; else it has printed why not. One at a time. */
bool schedule_run(const struct schedule *s, void *context);

/* The same, times over, until one fails. */
bool schedule_repeat(const struct schedule *s, int times, void *context);

#endif
