/* absent: the callers of before a restart that have not come back, and how the
 * broker gets from the ledger what its predecessor knew.
 *
 * A holder may have been told that it holds: its terminal is kept for it until it
 * has reclaimed it or its process is dead, however long that takes, for time alone
 * would make two holders. A waiter's place, and a grant that nobody was told of, are
 * kept for a time of grace.
 */
#ifndef TTYLOCK_ABSENT_H
#define TTYLOCK_ABSENT_H

#include <event2/event.h>
#include <stdbool.h>

#include "broker.h"
#include "usage.h"

#define ABSENT_GRACE_S 10 /* unless somebody says otherwise */

struct absents;

/* Restores what the broker's ledger tells into the broker, which must be empty. grace:
 * in seconds.
 * NULL: out of memory or descriptors. */
struct absents *absents_new(
    struct event_base *base, struct broker *broker, struct usages *usages, int grace);
/* NULL is fine. */
void absents_free(struct absents *set);

/* Whether anybody is still missed. */
bool absents_any(const struct absents *set);

/* The highest number of a caller among them. */
uint64_t absents_last_caller(const struct absents *set);

#endif
