/* locktable: terminals, the request that holds each, and those that wait for
 * it, first come, first served.
 *
 * Pure: libc only. It must not do I/O, read a clock, log, or know protobuf.
 * Owners, processes and terminals are numbers of the caller's choosing, never
 * pointers. Each call that changes something fills a struct locktable_change;
 * the caller tells people about it. Every operation is O(1) whatever the number
 * of waiters, but for the search for a deadlock, which is made only for a task
 * that has another request already, and looks at no request twice, and for
 * locktable_serve_first, which looks at the nested holders.
 *
 * A terminal passes from hand to hand: the call that ends a hold makes the first
 * waiter the holder, so at no time can anybody overtake the queue.
 *
 * Nested grants. A request under a grant of the same terminal stands in line
 * directly before that grant: it is granted on top of it, at once if that one is
 * the topmost. The holders of a terminal are therefore a stack, of which the
 * topmost is called the holder; the others have their grants still. A grant that
 * ends below the topmost changes nothing for the others: who waited under it
 * now waits under what it was under, or in the terminal's own queue, first there.
 *
 * What a dead holder left behind is for the next one on its level, not for the
 * one that it was on top of: that one is in the middle of its hold, expects
 * nothing, and when it ends in good order it leaves the terminal as it found it,
 * whatever became of it meanwhile. So:
 *  - a nested holder dies: the next that is granted on the same grant is told;
 *    if the grant ends clean instead, nothing is left; if it dies as well, its
 *    own state counts, which is of before both;
 *  - a holder dies below another: that one is not told (it uses the terminal),
 *    and its own clean end, which brings back what it found, mends nothing: the
 *    next one on the level of the dead is told.
 */
#ifndef TTYLOCK_LOCKTABLE_H
#define TTYLOCK_LOCKTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCKTABLE_SAVED_MAX 192

/* What asks inside a process; unique there. */
struct task_uid {
	char name[64]; /* NUL-terminated */
	uint64_t id;
};

struct locktable_wish {
	uint64_t owner;	   /* the connection: ends with it */
	uint64_t process;  /* the process's identity: with task, who asks */
	uint64_t terminal; /* what it wants */
	struct task_uid task;
	uint64_t under; /* a request that holds this terminal; anything else: none */
	bool nonblock;
};

enum locktable_outcome {
	LOCKTABLE_GRANTED = 1,
	LOCKTABLE_QUEUED,
	LOCKTABLE_RELEASED,
	LOCKTABLE_CANCELLED, /* it left the queue */
	/* Nothing changed: */
	LOCKTABLE_BUSY,
	LOCKTABLE_DEADLOCK,  /* this task has asked for it already (`first`), or the wait
			      * could never end: see waitgraph.h */
	LOCKTABLE_FULL,	     /* at the maximum, or out of memory */
	LOCKTABLE_NOT_FOUND, /* no such request */
};

/* What becomes of a terminal's saved state when a hold ends. */
enum locktable_end {
	LOCKTABLE_CLEAN,     /* the holder released it: forgotten */
	LOCKTABLE_DIRTY,     /* the holder died or was ousted: kept for the next one */
	LOCKTABLE_UNTOUCHED, /* it never began: as it was before (clean if it has saved) */
};

struct locktable_grant {
	uint64_t request; /* 0: nobody was granted anything */
	uint64_t owner;
	uint32_t waiters; /* that are left behind it */
	bool dirty;	  /* the last one on this level did not release */
	uint8_t saved[LOCKTABLE_SAVED_MAX];
	size_t saved_size;
};

struct locktable_change {
	enum locktable_outcome outcome;
	uint64_t request, owner, terminal; /* whom and what it is about */
	uint32_t position;		   /* QUEUED: 1 is next; see locktable_lock */
	uint32_t waiters;		   /* that wait there now, this one not counted */
	uint64_t holder;		   /* QUEUED, BUSY, DEADLOCK: the topmost holder */
	uint64_t first;			   /* DEADLOCK: the task's first request, or 0 */
	uint64_t under;			   /* GRANTED, QUEUED: wish.under if it counted */
	struct locktable_grant grant;	   /* who holds it since this call */
	/* What dead holders left on a level has changed: on top of that grant, or
	 * (0) on the terminal itself; see restore.h. */
	bool left_changed;
	uint64_t level;
	/* After RELEASED, CANCELLED: nobody holds it or waits; the record is
	 * gone, or kept because the terminal is dirty. */
	bool idle, kept;
};

/* A request as the table has it. */
struct locktable_view {
	uint64_t request, owner, process, terminal;
	struct task_uid task;
	uint64_t asked;	   /* the time given to locktable_lock */
	bool holds;	   /* at whatever depth */
	uint32_t position; /* 0 when it holds; its place in the queue from
			    * locktable_next alone, elsewhere UINT32_MAX */
};

struct locktable;

/* seed: any random number; keeps outsiders from choosing colliding keys.
 * NULL when out of memory. */
struct locktable *locktable_new(uint32_t max_requests, uint32_t max_terminals, uint64_t seed);
void locktable_free(struct locktable *t);

/* GRANTED, QUEUED, BUSY, DEADLOCK or FULL; change->request is the new one's
 * number (from 1, never used again) on GRANTED and QUEUED. The position of one
 * that waits under a grant is counted up to LOCKTABLE_COUNTED; further back it
 * is told as the last of all. */
#define LOCKTABLE_COUNTED 256

enum locktable_outcome locktable_lock(struct locktable *t, const struct locktable_wish *wish,
    uint64_t now, struct locktable_change *change);

/* Grants the terminal to whoever is first in line, if nobody holds it there: after
 * a restart (restore.h) alone. */
bool locktable_serve(struct locktable *t, uint64_t terminal, struct locktable_change *change);

/* Ends a request, whether it holds (RELEASED, and if it was the topmost, whoever
 * is first in line is granted, unless that is the holder below it) or waits
 * (CANCELLED; `end` does not matter); or NOT_FOUND. */
enum locktable_outcome locktable_release(
    struct locktable *t, uint64_t request, enum locktable_end end, struct locktable_change *change);

/* Moves a waiter to the head of its queue, before all that wait under the same
 * grant: QUEUED, with position as in locktable_lock. Nothing changes with GRANTED:
 * it holds; DEADLOCK: one whom it overtakes would wait for ever; NOT_FOUND. */
enum locktable_outcome locktable_serve_first(
    struct locktable *t, uint64_t request, struct locktable_change *change);

/* Ends one request of an owner that is gone, waiting ones first so that none of
 * its own is granted on the way. Call it until it returns false. locktable_owned
 * tells which request it will be; 0: none is left. */
uint64_t locktable_owned(const struct locktable *t, uint64_t owner);
bool locktable_drop_owner(struct locktable *t, uint64_t owner, struct locktable_change *change);

/* Tells of a waiter what locktable_lock told of it. False: it does not wait. */
bool locktable_requeue(
    const struct locktable *t, uint64_t request, struct locktable_change *change);

/* Tells of a holder what the change told by which it came to hold. False: none. */
bool locktable_regrant(const struct locktable *t, uint64_t request, struct locktable_grant *grant);

/* Keeps what a later holder needs to mend the terminal; size 0: nothing. False, and nothing
 * changed, unless the request holds, size <= LOCKTABLE_SAVED_MAX, and there is
 * memory. */
bool locktable_save(struct locktable *t, uint64_t request, const void *saved, size_t size);

/* Forgets a terminal that is kept only because it is dirty. False when it is
 * unknown or in use. */
bool locktable_forget(struct locktable *t, uint64_t terminal);

bool locktable_find(const struct locktable *t, uint64_t request, struct locktable_view *view);

/* The request that would be granted if this one ended; 0: none. */
uint64_t locktable_successor(const struct locktable *t, uint64_t request);

uint32_t locktable_requests(const struct locktable *t);
uint32_t locktable_terminals(const struct locktable *t);

/* Walks all requests: terminal by terminal, the topmost holder first, then those
 * below it, then the waiters in the order in which they would be served now.
 * Start with a zeroed cursor; the table must not change on the way. */
struct locktable_cursor {
	uint32_t terminal, request, position;
	bool started;
};
bool locktable_next(
    const struct locktable *t, struct locktable_cursor *c, struct locktable_view *view);

#endif
