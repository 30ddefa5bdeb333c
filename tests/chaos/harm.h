/* harm: who is killed, stopped and continued in a storm, and when. */
#ifndef CHAOS_HARM_H
#define CHAOS_HARM_H

#include "board.h"

#define HARM_SLOTS 64

struct harm {
	int processes; /* the first so many slots of the board may be harmed */
	uint64_t random;
	unsigned kills, daemons, terms, stops, hangs;
	int64_t kill_at, daemon_at, continue_at[HARM_SLOTS];
	int64_t spared_until; /* the daemon */
	int away;	      /* whose slot; -1: nobody's. It stays alive */
	struct {
		pid_t pid;
		int64_t until;
		bool kill;
	} hung;
};

/* What is due now; to be called again and again. */
void harm_do(struct harm *h, int64_t now);
/* Nobody stands still any more. */
void harm_end(struct harm *h);

#endif
