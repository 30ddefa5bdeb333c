#include "ledger_tail.h"

#include <string.h>

#include "ledger_entries.h"

#define BLOCK_BYTES sizeof(((struct ledger_block *)0)->bytes)
#define TAIL_MAX    (sizeof(struct ledger_request) - offsetof(struct ledger_request, task_name))

_Static_assert(offsetof(struct ledger_entry, tail) == offsetof(struct ledger_request, task_name),
    "a head is not the same in the file");
_Static_assert(LEDGER_TAIL_BLOCKS *BLOCK_BYTES >= TAIL_MAX, "the longest tail needs more blocks");
_Static_assert(sizeof(((struct ledger_request *)0)->text) <= UINT8_MAX + 1, "a text too long");

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* --- writing ----------------------------------------------------------- */

static void blocks_give(struct ledger *l, uint32_t block)
{
	/* One that somebody else gave before us, or that is none, was never ours: it is
	 * a ledger that was spoilt. */
	while (block < l->pool[LEDGER_BLOCKS].count && l->tailed[block]) {
		uint32_t next = block_at(l, block)->next;

		l->tailed[block] = false;
		entry_give(l, LEDGER_BLOCKS, block);
		block = next;
	}
}

/* From the end: each knows the next one when it is written. LEDGER_NONE: no room. */
static uint32_t blocks_write(struct ledger *l, const unsigned char *from, size_t size)
{
	uint32_t first = LEDGER_NONE;

	while (size > 0) {
		size_t n = (size - 1) % BLOCK_BYTES + 1;
		uint32_t block = entry_take(l, LEDGER_BLOCKS);

		if (block == LEDGER_NONE) {
			blocks_give(l, first);
			return LEDGER_NONE;
		}
		size -= n;
		block_at(l, block)->next = first;
		memcpy(block_at(l, block)->bytes, from + size, n);
		l->tailed[block] = true;
		first = block;
	}
	return first;
}

/* Behind what is there; its length. */
static uint8_t put(unsigned char *to, size_t *size, const char *text, size_t max)
{
	size_t n = strnlen(text, max - 1);

	memcpy(to + *size, text, n);
	*size += n;
	return (uint8_t)n;
}

bool tail_write(struct ledger *l, const struct ledger_request *r, struct ledger_tail *t)
{
	unsigned char bytes[TAIL_MAX];
	size_t size = 0, lineage = least(r->lineage_count, LEDGER_LINEAGE) * sizeof(r->lineage[0]);

	t->task_name = put(bytes, &size, r->task_name, sizeof(r->task_name));
	t->text = put(bytes, &size, r->text, sizeof(r->text));
	t->comm = put(bytes, &size, r->comm, sizeof(r->comm));
	t->subject_comm = put(bytes, &size, r->subject_comm, sizeof(r->subject_comm));
	memcpy(bytes + size, r->lineage, lineage);
	size += lineage;
	t->first = blocks_write(l, bytes, size);
	return t->first != LEDGER_NONE || size == 0;
}

void tail_give(struct ledger *l, const struct ledger_tail *t)
{
	blocks_give(l, t->first);
}

/* --- reading ----------------------------------------------------------- */

/* Where in a tail we are. */
struct place {
	uint32_t block, at;
};

/* What is not there is left as it is. Ends: each step needs some of `size`. */
static void take(const struct ledger *l, struct place *p, void *to, size_t size)
{
	while (size > 0 && p->block < ledger_map_count(&l->map, LEDGER_BLOCKS)) {
		const struct ledger_block *b = block_at(l, p->block);
		size_t left = sizeof(b->bytes) - p->at, n = size < left ? size : left;

		memcpy(to, b->bytes + p->at, n);
		to = (char *)to + n;
		size -= n;
		p->at += (uint32_t)n;
		if (p->at == sizeof(b->bytes))
			*p = (struct place){.block = b->next};
	}
}

void tail_read(const struct ledger *l, const struct ledger_tail *t, struct ledger_request *r)
{
	struct place p = {.block = t->first};

	/* One with blocks of another length is another layout. */
	if (ledger_map_stride(&l->map, LEDGER_BLOCKS) != sizeof(struct ledger_block))
		return;
	take(l, &p, r->task_name, least(t->task_name, sizeof(r->task_name) - 1));
	take(l, &p, r->text, least(t->text, sizeof(r->text) - 1));
	take(l, &p, r->comm, least(t->comm, sizeof(r->comm) - 1));
	take(l, &p, r->subject_comm, least(t->subject_comm, sizeof(r->subject_comm) - 1));
	take(l, &p, r->lineage, least(r->lineage_count, LEDGER_LINEAGE) * sizeof(r->lineage[0]));
}
