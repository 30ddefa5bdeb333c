/* reference: the lock table's rules, written down so simply that they cannot be
 * wrong: for each terminal an array of levels, each with its grant and an array of
 * those that wait under it; for deadlocks, sets of tasks.
 *
 * For tests, one at a time. Shares nothing with the table but the numbers by which
 * both name things; the ids of requests are the caller's.
 */
#ifndef TTYLOCK_TESTS_REFERENCE_H
#define TTYLOCK_TESTS_REFERENCE_H

#include "../../daemon/restore.h"

enum {
	REFERENCE_MAX = 64, /* requests */
	REFERENCE_TERMINALS = 12,
	REFERENCE_PROCESSES = 16,
	REFERENCE_TASKS = 4, /* of a process */
};

struct plain {
	uint64_t id, owner, process, terminal, task;
	bool holds;
	/* The test's own, of which a restart is made: */
	struct locktable_place place;
	struct locktable_left left;
	int saved; /* -1: none */
};

extern struct plain plain[REFERENCE_MAX]; /* in order of asking */
extern int plain_count;

/* Level 0 is the terminal itself, with those that wait for it as such; the others
 * are its holders, the last one topmost. saved: -1: none; else the caller's name
 * for it. Terminals count from 1. */
struct level {
	uint64_t grant;
	int saved;
	struct {
		bool dirty, untold;
		int saved;
	} left; /* on top of it */
	uint64_t queue[REFERENCE_MAX];
	int queued;
};

extern struct spot {
	struct level level[REFERENCE_MAX + 1];
	int holders;
	struct locktable_left kept; /* the test's own as well */
} spot[REFERENCE_TERMINALS + 1];

void plain_reset(void);

struct plain *plain_find(uint64_t id);
struct level *plain_top(uint64_t terminal);
/* The topmost holder; 0: none. */
uint64_t plain_holder(uint64_t terminal);
int plain_waiters(uint64_t terminal);
/* Those that somebody holds or that are dirty. */
int plain_terminals(void);
/* The level at which a request holds the terminal; 0: at none. */
int plain_level(uint64_t terminal, uint64_t id);
/* Who is granted when that one ends; 0: nobody. */
uint64_t plain_successor(const struct plain *p);

/* Whether the task would wait for itself. wish: a request to be, under that level of
 * its terminal, or (under -1) one that is. */
bool plain_circle(const struct plain *wish, int under);

/* What is to come of a wish under that level: GRANTED, QUEUED, BUSY, DEADLOCK. */
enum locktable_outcome plain_want(const struct plain *wish, int under, bool nonblock);
/* Takes it in, with its id. Returns its position. */
uint32_t plain_add(const struct plain *wish, int under, bool at_once);
/* Ends a request; returns who is granted then, or 0. */
uint64_t plain_remove(struct plain *p, enum locktable_end end);
void plain_hold(uint64_t terminal, uint64_t id);

/* As locktable_serve_first; *moved: it was not the first already. */
enum locktable_outcome plain_serve_first(const struct plain *p, uint32_t *position, bool *moved);

#endif
