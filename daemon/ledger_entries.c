#include "ledger_entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ledger_hold *hold_get(struct ledger *l, uint32_t entry)
{
	while (!hold_at(l, entry)) {
		if (ledger_map_extend(&l->map, LEDGER_HOLDS) < 0)
			return NULL;
	}
	return hold_at(l, entry);
}

void entry_read(
    const struct ledger *l, enum ledger_array array, uint32_t entry, void *to, size_t size)
{
	size_t theirs = ledger_map_stride(&l->map, array), both = size < theirs ? size : theirs;

	memcpy(to, ledger_map_entry(&l->map, array, entry), both);
	memset((char *)to + both, 0, size - both);
}

/* --- entries that are free --------------------------------------------- */

/* Whatever is in the tail of a request that counts is not free. */
static void tails_claim(struct ledger *l)
{
	struct ledger_entry e;
	uint32_t count = ledger_map_count(&l->map, LEDGER_BLOCKS);

	for (uint32_t i = 0; i < ledger_map_count(&l->map, LEDGER_REQUESTS); i++) {
		entry_read(l, LEDGER_REQUESTS, i, &e, sizeof(e));
		uint32_t block = e.state ? e.tail.first : LEDGER_NONE;

		while (block < count && !l->tailed[block]) {
			l->tailed[block] = true;
			block = block_at(l, block)->next;
		}
	}
}

static int tails_know(struct ledger *l)
{
	uint32_t count = ledger_map_count(&l->map, LEDGER_BLOCKS);
	uint32_t before = l->pool[LEDGER_BLOCKS].count;
	unsigned char *grown = count ? realloc(l->tailed, count) : NULL;

	if (!count)
		return 0;
	if (!grown)
		return -ENOMEM;
	memset(grown + before, false, count - before);
	l->tailed = grown;
	if (before == 0)
		tails_claim(l);
	return 0;
}

static bool is_free(const struct ledger *l, enum ledger_array array, uint32_t entry)
{
	return array == LEDGER_BLOCKS ? !l->tailed[entry] : !*entry_state(l, array, entry);
}

int entries_fill(struct ledger *l, enum ledger_array array)
{
	struct pool *p = &l->pool[array];
	uint32_t count = ledger_map_count(&l->map, array);
	uint32_t *grown = reallocarray(p->free, count, sizeof(*grown));

	if (!grown && count)
		return -ENOMEM;
	p->free = grown;
	if (array == LEDGER_BLOCKS && tails_know(l) < 0)
		return -ENOMEM;
	/* The lowest last: it is taken first. */
	for (uint32_t entry = count; entry-- > p->count;) {
		if (is_free(l, array, entry))
			p->free[p->free_count++] = entry;
	}
	p->count = count;
	return 0;
}

static int pool_extend(struct ledger *l, enum ledger_array array)
{
	int rc = ledger_map_extend(&l->map, array);

	return rc < 0 ? rc : entries_fill(l, array);
}

bool entries_extend(struct ledger *l, enum ledger_array array, uint32_t n)
{
	while (l->pool[array].free_count < n) {
		if (pool_extend(l, array) < 0)
			return false;
	}
	return true;
}
