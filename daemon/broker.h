/* broker: the shell around the lock table. It carries out what a change says:
 * who is sent which status, which watchers learn what, what is logged.
 *
 * Owns the table, the tickets and the terminals (broker_state.h). Reaches a caller
 * only through its outlet.
 */
#ifndef TTYLOCK_BROKER_H
#define TTYLOCK_BROKER_H

#include <stdint.h>

#include "broker_state.h"

/* ledger: must outlive it; NULL: none. 0 or -ENOMEM. */
int broker_init(struct broker *b, const struct outlet_ops *ops, struct ledger *ledger,
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

/* Serves a terminal after a restart, and keeps it if need be. */
void broker_restored(struct broker *b, struct terminal *t);

/* Ends all of a caller's requests and forgets the caller. */
void broker_caller_gone(struct broker *b, struct caller *c);

#endif
