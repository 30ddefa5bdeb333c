/* handover: the terminal goes to one process group and comes back as it was.
 *
 * Owns what must be restored: line settings, foreground group, and who was
 * held still meanwhile. Does not know why, nor who is next. All of it works
 * on a terminal of another session too, then without the job-control part.
 */
#ifndef TTYLOCK_HANDOVER_H
#define TTYLOCK_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

#include "census.h"
#include "readers.h"
#include "stops.h"

#define HANDOVER_SAVED_MAX 192

struct handover {
	int tty;
	bool job_control, has_termios;
	pid_t home;	/* a group of the tree, for when `previous` is gone */
	pid_t previous; /* the foreground group before; 0: not known */
	pid_t group;	/* who has it now; 0: nobody yet */
	pid_t subject;	/* whose debugger that is; 0: it is none */
	struct termios termios;
	struct readers readers;
	struct census census; // until it is lent back
	struct stops stops;   /* of `previous` */
};

/* Takes note of how the terminal is, and makes its line settings fit for
 * typing commands. */
void handover_begin(struct handover *h, int tty, pid_t home);

/* Makes pgrp the foreground group. Whoever was reading is held. 0 or -errno. */
int handover_give(struct handover *h, pid_t pgrp);

/* To be called after so many milliseconds (-1: not at all) as long as it is given: who
 * was held may have to go on, and others be held. */
int handover_check_ms(const struct handover *h);
void handover_check(struct handover *h);

/* Lends the terminal back for a while (the group was suspended): settings,
 * foreground and readers as before. handover_give() takes it again. */
void handover_lend(struct handover *h);

/* Everything as it was. */
void handover_end(struct handover *h);

/* The end where somebody else has been given the terminal on top of us and puts
 * everything back in their turn: only lets the readers go. */
void handover_abandon(struct handover *h);

/* What handover_repair() needs should this process die now: bytes written to
 * out. */
size_t handover_save(const struct handover *h, uint8_t out[HANDOVER_SAVED_MAX]);

/* Does what the holder who saved this would have done at its end, which is dead; or was
 * released by force, and has a second to do so itself until its group is ended. Without
 * saved state (len 0) only makes the line settings sane, and home the foreground
 * where nobody is left there. */
void handover_repair(int tty, pid_t home, const uint8_t *saved, size_t len);

#endif
