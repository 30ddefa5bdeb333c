/* board: what all processes of a storm have in common, and the judge among them.
 *
 * Shared memory that knows nothing of ttylock: who believes to be at which terminal,
 * in which order they came, what each does, and what happened last. Each word is
 * changed by one atomic operation, for anybody may be killed between any two.
 */
#ifndef CHAOS_BOARD_H
#define CHAOS_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BOARD_TERMINALS 8
#define BOARD_SLOTS	1024

enum board_state { BOARD_IDLE, BOARD_BUSY, BOARD_WAITS, BOARD_HOLDS };

enum board_count {
	BOARD_GRANTS,
	BOARD_NESTED,
	BOARD_TAKEN,
	BOARD_LINES,
	BOARD_BUSY_COUNT,
	BOARD_TIMEOUTS,
	BOARD_DEADLOCKS,
	BOARD_CANCELS,
	BOARD_CRASHES,
	BOARD_EXITS,
	BOARD_FORKS,
	BOARD_FORCED,
	BOARD_FIRST,
	BOARD_CANCELLED, /* from outside, like the skips */
	BOARD_SKIPS,
	BOARD_OUSTED,  /* holders that heard that they were released by force */
	BOARD_EXCUSED, /* found at the stage's terminal, after force */
	BOARD_AWAY,    /* no daemon: documented errors of an outage */
	BOARD_COUNTS
};

/* One process with a part in the storm. */
struct slot {
	pid_t pid;
	int state;
	int64_t since;	  /* that it is in this state */
	int terminal;	  /* at which */
	uint64_t reading; /* the line that it waits for; 0: none */
	uint64_t id;	  /* the request by which it holds, or did last */
};

struct board {
	uint64_t seed;
	int quiet;	 /* nobody is to begin anything */
	uint64_t calm;	 /* orders_stage() when all was well at the stage's terminal */
	int patience_ms; /* with what has to happen in the end */
	int failed;
	pid_t blamed; /* by whom, or by whose end */
	char failure[512];
	struct slot slots[BOARD_SLOTS];
	uint64_t counts[BOARD_COUNTS];
	uint64_t tries[BOARD_COUNTS]; /* of what may not succeed */
};

extern struct board *board;

void board_init(uint64_t seed);

/* A line for those who read what went wrong; the last some thousand are kept. */
__attribute__((format(printf, 1, 2))) void board_note(const char *format, ...);
/* The run is over: what was wrong. */
__attribute__((format(printf, 1, 2), noreturn)) void board_fail(const char *format, ...);
/* The same by another's end. */
void board_blame(pid_t pid, const char *why);
/* The last so many; of: only this process's, 0: anybody's. */
void board_print_notes(unsigned count, pid_t of);

void board_count(enum board_count what);
void board_try(enum board_count what);
void board_state(struct slot *s, enum board_state state, int terminal);

/* The caller has been told that the terminal is its own: the run has failed if a
 * living other believes the same that was not released by force, or if somebody who
 * asked later and was not served first has been there already. under: 0, or the
 * board_enter() of the grant below. */
uint64_t board_enter(int terminal, uint64_t id, uint64_t under);
void board_leave(int terminal, uint64_t mark);

/* Neither dead nor about to be. */
bool board_lives(pid_t pid);

int64_t board_ms(void);
uint64_t board_random(uint64_t *state);

#endif
