/* terminal: the terminals that the daemon knows of, each with a number for the
 * lock table and a path-only handle.
 *
 * Counted references: peers that showed it, requests for it, and the lock table
 * while the terminal is dirty with nobody there. A dead terminal (st_nlink 0)
 * keeps its number; one that reuses its name and device numbers is a new one.
 */
#ifndef TTYLOCK_TERMINAL_H
#define TTYLOCK_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proof.h"
#include "slots.h"

struct usage;

struct terminal {
	uint64_t id;
	struct proof proof; // owns its handle
	uint32_t refs;
	bool kept;	     /* dirty and idle: one of the refs is for that */
	uint64_t seen;	     /* alive, by terminal_alive_at(): ms */
	struct usage *payer; // NULL, or holds a reference to it; charged for the record
	uint32_t entry;	     /* the ledger's; LEDGER_NONE */
	struct terminal *prev, *next;
	struct terminals *set;
};

struct terminals {
	struct terminal *first; // owns
	uint32_t count;
	uint64_t last_id;
	/* Called before one is freed; NULL: nobody wants to know. */
	void (*forgotten)(const struct terminal *t, void *arg);
	void *forgotten_arg;
};

void terminals_init(struct terminals *set);
void terminals_deinit(struct terminals *set);

/* The living terminal of that proof, or NULL; no reference is taken. */
struct terminal *terminals_find(const struct terminals *set, struct proof *p);

/* One of before a restart, with one reference, that takes over *p; or NULL. Where
 * p->handle is -1 it counts as alive, and gets that of the next proof of the same
 * numbers. */
struct terminal *terminals_restore(
    struct terminals *set, uint64_t id, struct proof *p, struct usage *payer);

/* A new one, with one reference, that takes over *p; or NULL, out of memory. */
struct terminal *terminals_add(struct terminals *set, struct proof *p, struct usage *payer);

struct terminal *terminal_ref(struct terminal *t);
/* Gives a reference back; the last one frees it. NULL is fine. */
void terminal_unref(struct terminal *t);

/* False once its device is gone. */
bool terminal_alive(const struct terminal *t);

/* The same for a request at that time (ms), which may be as old as the millisecond: one
 * look serves all of it. A terminal may go right after any look, so this decides nothing
 * but how early that is told; never which terminal it is. */
bool terminal_alive_at(struct terminal *t, uint64_t now);

/* The uid that owns the device now; (uid_t)-1 when it has none any more. */
uid_t terminal_owner(const struct terminal *t);

#endif
