/* ledger_entries: a ledger's entries as ledger.c and ledger_file.c share them; for
 * nobody else.
 */
#ifndef TTYLOCK_LEDGER_ENTRIES_H
#define TTYLOCK_LEDGER_ENTRIES_H

#include "ledger.h"
#include "ledger_map.h"

struct ledger {
	struct ledger_map map;
	bool converted;
	/* Of terminals and requests; a hold has the number of its request. */
	struct pool {
		uint32_t *free;
		uint32_t free_count, count; /* count: that are looked after */
	} pool[2];
};

/* The first word of an entry tells whether it is in use. */
static inline uint32_t *entry_state(const struct ledger *l, enum ledger_array array, uint32_t entry)
{
	return ledger_map_entry(&l->map, array, entry);
}

/* Looks after all entries that have memory. 0 or -ENOMEM. */
int entries_fill(struct ledger *l, enum ledger_array array);
/* A free one, with memory; LEDGER_NONE. It is free still until its state is set. */
uint32_t entry_take(struct ledger *l, enum ledger_array array);

/* A request's: NULL: it has none yet, or there is no room for it. */
struct ledger_hold *hold_at(const struct ledger *l, uint32_t entry);
struct ledger_hold *hold_get(struct ledger *l, uint32_t entry);

#endif
