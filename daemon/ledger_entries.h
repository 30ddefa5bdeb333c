/* ledger_entries: a ledger's entries as the ledger's own files share them; for
 * nobody else.
 */
#ifndef TTYLOCK_LEDGER_ENTRIES_H
#define TTYLOCK_LEDGER_ENTRIES_H

#include "ledger.h"
#include "ledger_map.h"
#include "ledger_tail.h"

/* A request as it lies in the file. */
struct ledger_entry {
	LEDGER_HEAD;
	struct ledger_tail tail;
	LEDGER_LATER
};

struct ledger {
	struct ledger_map map;
	bool converted;
	/* A hold has the number of its request, and none of its own. */
	struct pool {
		uint32_t *free;
		uint32_t free_count, count; /* count: that are looked after */
	} pool[LEDGER_ARRAYS];
	unsigned char *tailed; /* for each block whether it is in somebody's tail */
};

/* The first word of a terminal or request tells whether it is in use. */
static inline uint32_t *entry_state(const struct ledger *l, enum ledger_array array, uint32_t entry)
{
	return ledger_map_entry(&l->map, array, entry);
}

/* What both know of an entry of that length; zeroes for the rest of ours. */
void entry_read(
    const struct ledger *l, enum ledger_array array, uint32_t entry, void *to, size_t size);

/* Looks after all entries that have memory. 0 or -ENOMEM. */
int entries_fill(struct ledger *l, enum ledger_array array);
/* Sees to it that so many are free. */
bool entries_reserve(struct ledger *l, enum ledger_array array, uint32_t n);
/* A free one, with memory; LEDGER_NONE. It is free still until its state is set. */
uint32_t entry_take(struct ledger *l, enum ledger_array array);
/* Its state, if it has one, says so already. */
void entry_give(struct ledger *l, enum ledger_array array, uint32_t entry);

/* A request's: NULL: it has none yet, or there is no room for it. */
struct ledger_hold *hold_at(const struct ledger *l, uint32_t entry);
struct ledger_hold *hold_get(struct ledger *l, uint32_t entry);

#endif
