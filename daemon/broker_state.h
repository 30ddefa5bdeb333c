/* What the broker's parts share: the state that they all work on, and how they reach a
 * caller. For the rest of the daemon there is broker.h.
 */
#ifndef TTYLOCK_BROKER_STATE_H
#define TTYLOCK_BROKER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "caller.h"
#include "ledger.h"
#include "locktable.h"
#include "outlet.h"
#include "terminal.h"
#include "ticket.h"

struct broker {
	const struct outlet_ops *ops;
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

#endif
