/* acts: what a program does with the library, in which one call is to fail.
 *
 * Each is played by a process of its own. What it sees that must not be, and each
 * error that a public function returned, goes into `acts_report`, which the driver
 * shares with it.
 */
#ifndef TTYLOCK_TESTS_ACTS_H
#define TTYLOCK_TESTS_ACTS_H

#include <stdbool.h>
#include <stddef.h>

enum { ACTS_ERRORS = 64 };

struct acts_report {
	char fault[160];     /* empty: none */
	size_t heap;	     /* bytes that are left when all is closed */
	bool may_end_by[65]; /* signals */
	bool is_left_dirty;  /* for the next one that takes it: a dead holder's */
	int sessions;	     /* that a debugger has, where nothing fails */
	bool has_helpers;    /* that end by themselves */
	int errors;
	struct {
		const char *function;
		int error;
	} error[ACTS_ERRORS];
};

extern struct acts_report *acts_report;

/* What the driver does for it, asked for with one byte over the socket, and answered
 * with one. */
enum {
	ACTS_RIVAL = 'r',   /* another process has the terminal */
	ACTS_YIELD = 'y',   /* it gives it back as soon as somebody waits */
	ACTS_GONE = 'g',    /* and is gone */
	ACTS_RESTART = 'R', /* the daemon is killed, and the next one serves */
	ACTS_SILENCE = 's', /* it is stopped */
	ACTS_SPEECH = 'S'   /* and goes on */
};

/* The socket of the daemon that an act starts, below the driver's directory. */
#define ACTS_STARTED "own/s"
/* Another user, and where that one's daemon is when all else fails. */
#define ACTS_OTHER_UID	65533
#define ACTS_OTHER_HOME "/tmp/ttylock-65533"

/* Takes and leaves the lock that says who holds the terminal. False: another does. */
int acts_hold(int file);
void acts_leave(int file);

struct acts_stage {
	int tty, file, world;
};

/* Plays it, and ends the process. False: no such act. */
int acts_play(const char *name, const struct acts_stage *stage);

#endif
