/* slots: records in one array that grows by doubling up to a fixed maximum,
 * named by slot number, and an index that finds slots by a 64-bit hash.
 *
 * Pure: libc only. A slot number stays valid until given back; a pointer to a
 * record only until the next slots_take. No memory is a refusal, not an abort.
 */
#ifndef TTYLOCK_SLOTS_H
#define TTYLOCK_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#define SLOT_NONE UINT32_MAX

struct slots {
	unsigned char *records;
	size_t size; /* of one record */
	uint32_t cap, max, used, free;
	uint32_t fresh; /* from there on none was ever used, nor its memory touched */
};

/* size: of one record, at least 4 bytes. */
void slots_init(struct slots *s, size_t size, uint32_t max);
void slots_deinit(struct slots *s);

/* A zeroed record, or SLOT_NONE when max are in use or there is no memory. */
uint32_t slots_take(struct slots *s);
void slots_give(struct slots *s, uint32_t slot);

static inline void *slots_at(const struct slots *s, uint32_t slot)
{
	return s->records + (size_t)slot * s->size;
}

/* Hash to slots. Several slots may have one hash: the caller compares keys. */
struct slot_index {
	uint32_t *buckets; /* as many as cap, a power of two */
	uint32_t *next;
	uint32_t *hash; /* its lower half: it need not tell all apart */
	uint32_t cap;
};

void slot_index_init(struct slot_index *x);
void slot_index_deinit(struct slot_index *x);

/* Makes room for slots below cap (a slots.cap). 0 or -ENOMEM. */
int slot_index_reserve(struct slot_index *x, uint32_t cap);
void slot_index_put(struct slot_index *x, uint64_t hash, uint32_t slot);
void slot_index_remove(struct slot_index *x, uint32_t slot);

/* The first slot with that hash, and the one after `slot` with the same. */
uint32_t slot_index_first(const struct slot_index *x, uint64_t hash);
uint32_t slot_index_next(const struct slot_index *x, uint32_t slot);

/* Mixes v into the hash h, so that every bit of both counts in every bit. */
static inline uint64_t slot_hash(uint64_t h, uint64_t v)
{
	h ^= v;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
	h = (h ^ h >> 27) * 0x94d049bb133111ebu;
	return h ^ h >> 31;
}

#endif
