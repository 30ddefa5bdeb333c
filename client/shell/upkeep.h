/* upkeep: how `ttylock run` looks after its tree's terminal: its own connection to
 * the daemon, who is at the terminal, what a holder that was killed has left behind,
 * and the line settings at the end. It knows none of the tree's processes.
 */
#ifndef TTYLOCK_UPKEEP_H
#define TTYLOCK_UPKEEP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "../lib/lock.h"

struct upkeep {
	int tty;	      /* -1: none, and then no crash handling */
	struct ttylock *lock; /* NULL: no crash handling */
	uint64_t tree;	      /* its number, for the environment and the daemon */
	struct event_base *base;
	struct event *on_lock;
	void (*heard)(void *arg);
	void *arg;
	bool holder_died; /* and nobody has looked after the terminal since */
	bool has_modes;
	bool unsettled;	      /* the command could not put the line settings back itself */
	struct termios modes; /* as they were at the start */
};

/* Finds the terminal and connects. 0; -errno: the tree runs without crash handling,
 * and all below does nothing. */
int upkeep_open(struct upkeep *u);
void upkeep_close(struct upkeep *u);

/* In this loop, mends what holders leave behind; heard: whatever has come from the
 * daemon is taken in. */
void upkeep_watch(struct upkeep *u, struct event_base *base, void (*heard)(void *arg), void *arg);

/* Whether the next daemon is still to be heard, after the last one's end. */
bool upkeep_is_cut_off(const struct upkeep *u);

/* How many requests are there of the tree, or also those of others for the terminal;
 * -errno: nobody can tell. */
int upkeep_of_tree(const struct upkeep *u);
int upkeep_at_terminal(const struct upkeep *u);

/* Who has the terminal now, on top of all others that hold it; 0: nobody. */
pid_t upkeep_holder(const struct upkeep *u);

/* Whether the group in front has ended, and has not given the foreground back. */
bool upkeep_is_deserted(const struct upkeep *u);

/* Unless it is somebody's turn: puts right what a holder that died has left behind, for
 * which nobody may follow who would; then gives the group the foreground if it is
 * deserted. 0: no group. */
void upkeep_settle(struct upkeep *u, pid_t group);

/* At the end: takes in the news that is there, and mends what they tell of. */
void upkeep_catch_up(struct upkeep *u);

/* The line settings of the start, where the command could not put them back. */
void upkeep_put_back_modes(const struct upkeep *u);

#endif
