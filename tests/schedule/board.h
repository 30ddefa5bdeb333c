/* board: where a schedule and its actors meet.
 *
 * Shared memory and futexes, nothing else: so an actor needs no descriptor, no
 * lock and no heap to stop, may be a thread, a process or a program of its own,
 * and may stop in a signal handler. The board knows who stops where and who may
 * go on; the order is the schedule's.
 */
#ifndef TTYLOCK_TESTS_BOARD_H
#define TTYLOCK_TESTS_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BOARD_ACTORS 8
#define BOARD_STOPS  32
#define BOARD_NAME   48
/* Where a program finds the path of its board. */
#define BOARD_ENV "SCHEDULE_BOARD"

struct board_slot {
	/* Fixed before the board is used. */
	char name[BOARD_NAME];
	bool found; /* belongs to the first stranger who comes to its stop */
	uint32_t n_stops;
	char stops[BOARD_STOPS][BOARD_NAME]; /* in their order; the first is the start */

	/* Written by the actor. */
	_Atomic pid_t pid, tid;
	_Atomic uint32_t reached;  /* how many of its stops it has come to */
	_Atomic uint32_t answered; /* nudges */
	_Atomic char last[BOARD_NAME];
	_Atomic bool unstarted; /* its program could not be executed */

	/* Written by whoever sees its end: exit status, or -signal. */
	_Atomic int result;
	_Atomic bool ended;

	/* Written by the schedule. */
	_Atomic uint32_t open;	 /* it may go past stops[0] .. stops[open - 1] */
	_Atomic uint32_t nudges; /* each to be answered by an actor that stands still */
	_Atomic uint32_t bell;	 /* futex: open or nudges has changed */
};

struct board {
	_Atomic uint32_t news; /* futex: something has changed in a slot */
	_Atomic bool over;     /* nobody stops any more */
	uint32_t n_slots;
	struct board_slot slots[BOARD_ACTORS];
};

/* A new, empty board, and a path by which other processes of this user can open
 * it as long as it is not freed. NULL: errno. */
struct board *board_new(char *path, size_t size);
struct board *board_open(const char *path);
void board_free(struct board *b);

/* From now on board_point() looks at *b; NULL: at none. */
void board_use(struct board *b);

/* What the sync points call. Async-signal-safe; keeps errno. */
void board_point(const char *name);

/* The calling thread is the slot's actor from now on, and waits at its start. */
void board_begin(struct board *b, struct board_slot *s);

/* The actor has ended so. */
void board_end(struct board *b, struct board_slot *s, int result);

/* Lets the actor go past its first n stops. */
void board_let(struct board_slot *s, uint32_t n);

/* Asks an actor that stands still to answer, once it has dealt with every
 * signal sent to it before. Returns what answered will then be. */
uint32_t board_nudge(struct board_slot *s);

/* Whether the actor stands at the stop that it came to last. */
bool board_stands(struct board_slot *s);

/* Waits at most ms for news to be other than seen. */
void board_await(struct board *b, uint32_t seen, int64_t ms);

#endif
