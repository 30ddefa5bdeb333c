/* turn: one turn at the terminal: wait for it, have it, give it back.
 *
 * Joins the lock (who may) with the handover (how the terminal is). Only one
 * turn at a time in a process.
 */
#ifndef TTYLOCK_TURN_H
#define TTYLOCK_TURN_H

#include "../lib/handover.h"
#include "../lib/lock.h"
#include "signals.h"

struct turn {
	struct ttylock *lock;
	uint64_t id;	  /* of the granted request */
	uint32_t waiters; /* how many waited when it was granted */
	struct handover handover;
	struct signals *signals;
	int ended_by; /* the signal that ended the wait, after -ECANCELED; 0 */
	char by[96];  /* who else ended it, for people; "": nobody */
	pid_t job;    /* whose job must be in the foreground */
	int subject;  /* a pidfd: when that process ends, so does the wait; -1 */
};

/* Waits for the terminal of t->lock, and for the job's foreground. t->lock,
 * signals, job and subject are the caller's. Says on the terminal what a
 * person should know (a Ctrl-C swallowed, a job in the background).
 * 0: the terminal is ours and noted down; else as ttylock_acquire(), and
 * -ESRCH: the subject ended; -ECANCELED: asked to end by a signal;
 * -ENXIO: its tree has ended while the job was in the background. */
int turn_take(struct turn *t, const struct ttylock_wish *wish, int timeout_ms);

/* Lets what we start ask for the terminal on top of us. */
void turn_pass_on(struct turn *t);

/* Who else has ended the request, into t->by. */
void turn_ask_by(struct turn *t, uint64_t id);

/* Gives pgrp the terminal, and leaves word of it with the daemon. */
void turn_give(struct turn *t, pid_t pgrp);

/* Gives it again to the group that had it, where somebody of the tree has taken the
 * foreground without a turn (another debugger, whose program has ended). False: it
 * is somebody's who was served on top of us, or of another job. */
bool turn_give_again(struct turn *t);

/* Everything as it was. */
void turn_put_back(struct turn *t);

/* The lock, after that: somebody else may have the terminal now. */
void turn_end(struct turn *t);

#endif
