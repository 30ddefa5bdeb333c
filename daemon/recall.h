/* recall: what the ledger tells, back into the broker.
 *
 * Makes no caller: whoever calls says whose a request is.
 */
#ifndef TTYLOCK_RECALL_H
#define TTYLOCK_RECALL_H

#include "broker.h"
#include "ledger.h"
#include "usage.h"

struct recall {
	struct broker *broker; /* empty, with the ledger */
	struct usages *usages;
	/* The owner of a request; NULL: it cannot be had. */
	struct caller *(*caller)(const struct ledger_request *r, void *arg);
	void *arg;
	/* Filled in: how many there are. */
	unsigned holders, waiters;
};

/* False: out of memory, or an owner could not be had; the broker is of no use then.
 * An entry that makes no sense is struck out. */
bool recall(struct recall *r);

#endif
