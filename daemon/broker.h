/* broker: the shell around the lock table. It carries out what a change says:
 * who is sent which status, which watchers learn what, what is logged.
 *
 * Owns the table, the tickets and the terminals. Reaches a caller only through
 * ops, which queue and never block, and which may mark a caller gone but must
 * not come back into the broker.
 */
#ifndef TTYLOCK_BROKER_H
#define TTYLOCK_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "caller.h"
#include "ledger.h"
#include "locktable.h"
#include "log.h"
#include "terminal.h"
#include "ticket.h"
#include "ttylock.pb.h"

enum broker_urgency {
	BROKER_REPLY, /* must arrive */
	BROKER_HINT,  /* may be dropped when the caller does not read */
	BROKER_EVENT, /* may be dropped when the caller does not read; it is told */
	BROKER_BULK,  /* part of a long answer: does not count as not reading */
};

struct broker_ops {
	void (*send)(struct caller *c, const ttylock_Envelope *e, enum broker_urgency urgency);
};

struct broker {
	const struct broker_ops *ops;
	struct locktable *table;
	struct ledger *ledger; // NULL: nothing outlives us
	bool frozen;	       /* nothing that happens now is so for anybody else */
	struct tickets tickets;
	struct tokens tokens;
	struct terminals terminals;
	struct caller *watchers;
	uint32_t watching;
	uint32_t requests_max, terminals_max;
	uint32_t kept;	  /* dirty terminals with nobody there */
	uint64_t started; /* ms */
};

/* ledger: must outlive it; NULL: none. 0 or -ENOMEM. */
int broker_init(struct broker *b, const struct broker_ops *ops, struct ledger *ledger,
    uint32_t requests_max, uint32_t terminals_max);
void broker_deinit(struct broker *b);

/* What happens from now on is for this life only: all is left as it is for the next. */
void broker_freeze(struct broker *b);

/* Locks for a ticket that is complete but for id, under and token, and sends the
 * status. The ticket is filed, or freed when refused or when it is a request of
 * before the restart, whose answer was lost. */
void broker_lock(struct broker *b, struct ticket *k, const struct locktable_wish *wish);

/* Moves a waiting request to the head of its queue and tells its owner.
 * LOCKTABLE_QUEUED, and *position; or LOCKTABLE_DEADLOCK. */
enum locktable_outcome broker_serve_first(struct broker *b, struct ticket *k, uint32_t *position);

enum broker_cause {
	BROKER_OWN,    /* its owner says so: nothing is sent to it */
	BROKER_UNUSED, /* so it does, and has not begun with the terminal */
	BROKER_DIED,   /* its owner is gone */
	BROKER_FORCED, /* somebody else says so: its owner is told */
	BROKER_ABSENT, /* its owner has not come back after a restart */
};

/* Ends a request, serves the next living waiter, and frees the ticket. by: who
 * did it, for BROKER_FORCED. */
void broker_end(
    struct broker *b, struct ticket *k, enum broker_cause cause, const struct caller *by);

/* A request of before the restart goes on as c's, with that number. */
void broker_reclaim(
    struct broker *b, struct caller *c, uint64_t number, const uint8_t token[TOKEN_SIZE]);

/* Serves a terminal after a restart, and keeps it if need be. */
void broker_restored(struct broker *b, struct terminal *t);

/* Ends all of a caller's requests and forgets the caller. */
void broker_caller_gone(struct broker *b, struct caller *c);

/* The caller's own terminal for a proof, NULL when out of memory or over the
 * quota. Takes over *p in any case. */
struct terminal *broker_terminal(struct broker *b, struct caller *c, struct proof *p);

/* 0, or -EDQUOT: its user watches with too many already. */
int broker_watch(struct broker *b, struct caller *c);

/* How `viewer` may see a request. */
void broker_entry(const struct broker *b, const struct ticket *k, const struct caller *viewer,
    uint32_t position, ttylock_Entry *e);

/* Tells the log about a request; by: the other one that it comes from, or NULL;
 * note: more, or NULL. */
void broker_log(
    const struct ticket *k, enum log_kind kind, const struct caller *by, const char *note);

/* Whether c may see that request in detail, or steer it. */
bool broker_may_see(const struct ticket *k, const struct caller *c);
bool broker_may_steer(const struct ticket *k, const struct caller *c);

/* Whether a request is for that process or for one that was below it when it was
 * asked; whether it is of c's tree. Both as far as c is to believe it: what a
 * request is for is a claim, by which nobody may keep a stranger waiting. */
bool broker_concerns(const struct ticket *k, const struct caller *c, pid_t pid);
bool broker_is_of_tree(const struct ticket *k, const struct caller *c);

void broker_error(
    const struct broker *b, struct caller *c, ttylock_Code code, uint64_t ref, const char *text);

#endif
