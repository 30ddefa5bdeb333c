/* ledger_entries: a ledger's entries, and which of them are free, as the ledger's own
 * files share them; for nobody else.
 */
#ifndef TTYLOCK_LEDGER_ENTRIES_H
#define TTYLOCK_LEDGER_ENTRIES_H

#include "ledger.h"
#include "ledger_map.h"

/* One of a chain, for ledger_tail.h. */
struct ledger_block {
	uint32_t next; /* LEDGER_NONE: the last */
	uint8_t bytes[60];
};

struct ledger_tail {
	uint32_t first; /* block; LEDGER_NONE: it is empty */
	/* How long they are, in this order; then comes the lineage, of 4 bytes each,
	 * and what a later version appends. */
	uint8_t task_name, text, comm, subject_comm;
};

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

static inline struct ledger_block *block_at(const struct ledger *l, uint32_t block)
{
	return ledger_map_entry(&l->map, LEDGER_BLOCKS, block);
}

/* What both know of an entry of that length; zeroes for the rest of ours. */
void entry_read(
    const struct ledger *l, enum ledger_array array, uint32_t entry, void *to, size_t size);

/* Looks after all entries that have memory. 0 or -ENOMEM. */
int entries_fill(struct ledger *l, enum ledger_array array);
/* Makes memory until so many are free. */
bool entries_extend(struct ledger *l, enum ledger_array array, uint32_t n);

/* Sees to it that so many are free. */
static inline bool entries_reserve(struct ledger *l, enum ledger_array array, uint32_t n)
{
	return l->pool[array].free_count >= n || entries_extend(l, array, n);
}

/* A free one, with memory; LEDGER_NONE. It is free still until its state is set. */
static inline uint32_t entry_take(struct ledger *l, enum ledger_array array)
{
	struct pool *p = &l->pool[array];

	return entries_reserve(l, array, 1) ? p->free[--p->free_count] : LEDGER_NONE;
}

/* Its state, if it has one, says so already. */
static inline void entry_give(struct ledger *l, enum ledger_array array, uint32_t entry)
{
	struct pool *p = &l->pool[array];

	p->free[p->free_count++] = entry;
}

/* A request's: NULL: it has none yet. */
static inline struct ledger_hold *hold_at(const struct ledger *l, uint32_t entry)
{
	return entry < ledger_map_count(&l->map, LEDGER_HOLDS)
		   ? ledger_map_entry(&l->map, LEDGER_HOLDS, entry)
		   : NULL;
}

/* The same, with memory; NULL: there is no room for it. */
struct ledger_hold *hold_get(struct ledger *l, uint32_t entry);

#endif
