/* records: what the lock table is made of, and how it is found. For the table's own
 * files alone; the rules are theirs.
 *
 * Pure: libc only. Records are named by slot number, SLOT_NONE for none.
 */
#ifndef TTYLOCK_RECORDS_H
#define TTYLOCK_RECORDS_H

#include "locktable.h"
#include "slots.h"

/* Lists run through the records by slot number. */
struct link {
	uint32_t prev, next;
};

struct list {
	uint32_t first, last;
};

/* What dead holders left behind on one level: on top of a grant, or on the
 * terminal itself. */
struct left {
	bool dirty;
	bool untold;	/* by one that died below the one who holds on this level */
	uint32_t saved; // locktable.saved
};

struct saved {
	uint8_t bytes[LOCKTABLE_SAVED_MAX];
	size_t size;
};

struct request {
	uint64_t id, owner, process, asked;
	struct task_uid task;
	uint32_t terminal_slot, owner_slot;
	bool holds;
	uint32_t saved;	   // locktable.saved
	struct link line;  // terminal.line
	struct link stack; // terminal.holders, while it holds
	struct link mine;  // owner.waits or owner.holds
	/* Serial numbers of grants: its own, while it holds; that under which it
	 * waits, or did before that one ended (0: the terminal's own queue). */
	uint64_t granted, under;
	/* Among those with the same `under` the lowest comes first: its id, or
	 * less than all when it was served first. */
	int64_t rank;
	struct left left; /* on top of it */

	/* waitgraph's: the numbers of the last searches that came by. */
	uint64_t seen, followed;
	uint32_t next_seen;
};

struct terminal {
	uint64_t id;
	/* All in the order in which they would be served, each holder behind
	 * those that wait under it. So the first one is the topmost holder, and
	 * a holder that ends leaves its waiters where they belong. */
	struct list line;
	struct list holders; /* the topmost first */
	uint32_t n_waiters;
	struct left left;
	struct link all; // locktable.all
};

struct owner {
	uint64_t id;
	struct list waits, holds;
};

struct locktable {
	struct slots requests, terminals, owners, saved;
	struct slot_index request_by_id, request_by_task, terminal_by_id, owner_by_id;
	struct list all;
	uint64_t last_id, last_grant, seed, searches;
	int64_t first_rank; /* the lowest so far */
};

static inline struct request *request_at(const struct locktable *t, uint32_t slot)
{
	return slots_at(&t->requests, slot);
}

static inline struct terminal *terminal_at(const struct locktable *t, uint32_t slot)
{
	return slots_at(&t->terminals, slot);
}

static inline struct owner *owner_at(const struct locktable *t, uint32_t slot)
{
	return slots_at(&t->owners, slot);
}

static inline struct saved *saved_at(const struct locktable *t, uint32_t slot)
{
	return slots_at(&t->saved, slot);
}

typedef struct link *link_of(const struct locktable *t, uint32_t slot);
link_of link_line, link_stack, link_mine;

/* before SLOT_NONE: at the end. */
void list_insert(struct locktable *t, struct list *l, uint32_t slot, uint32_t before, link_of *of);
void list_remove(struct locktable *t, struct list *l, uint32_t slot, link_of *of);

uint32_t records_request(const struct locktable *t, uint64_t id);
uint32_t records_terminal(const struct locktable *t, uint64_t id);
uint32_t records_owner(const struct locktable *t, uint64_t id);

/* All requests of a task, for whatever terminal: at most one for each. */
bool task_is_same(const struct request *r, uint64_t process, const struct task_uid *task);
uint32_t records_task_first(
    const struct locktable *t, uint64_t process, const struct task_uid *task);
uint32_t records_task_next(const struct locktable *t, uint32_t slot);

/* The level that a holder stands on. */
struct left *records_level(const struct locktable *t, const struct request *r);

/* A request that neither holds nor waits yet, with its terminal and owner; or
 * SLOT_NONE, and nothing changed. id: 0: the next one. */
uint32_t records_add(
    struct locktable *t, const struct locktable_wish *w, uint64_t id, uint64_t now);
/* The terminal's record, a new one if need be; SLOT_NONE: no room. */
uint32_t records_get_terminal(struct locktable *t, uint64_t id);
/* Gives a request to another owner. False, and nothing changed, without memory. */
bool records_reown(struct locktable *t, uint32_t slot, uint64_t owner);
/* Forgets one that is in no list any more, and its owner if it was the last. */
void records_remove(struct locktable *t, uint32_t slot);
void records_remove_terminal(struct locktable *t, uint32_t slot);

#endif
