#include "slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 16u

void slots_init(struct slots *s, size_t size, uint32_t max)
{
	assert(size >= sizeof(uint32_t));
	*s = (struct slots){.size = size, .max = max, .free = SLOT_NONE};
}

void slots_deinit(struct slots *s)
{
	free(s->records);
	s->records = NULL;
}

/* A free record holds the number of the next free one. */
static void free_push(struct slots *s, uint32_t slot)
{
	memcpy(slots_at(s, slot), &s->free, sizeof(s->free));
	s->free = slot;
}

static int slots_grow(struct slots *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : SLOTS_FIRST;

	unsigned char *records = realloc(s->records, (size_t)cap * s->size);
	if (!records)
		return -ENOMEM;
	s->records = records;
	s->cap = cap;
	return 0;
}

uint32_t slots_take(struct slots *s)
{
	if (s->used >= s->max)
		return SLOT_NONE;
	uint32_t slot = s->free;
	if (slot == SLOT_NONE && s->fresh == s->cap && slots_grow(s) < 0)
		return SLOT_NONE;

	if (slot == SLOT_NONE)
		slot = s->fresh++;
	else
		memcpy(&s->free, slots_at(s, slot), sizeof(s->free));
	memset(slots_at(s, slot), 0, s->size);
	s->used++;
	return slot;
}

void slots_give(struct slots *s, uint32_t slot)
{
	assert(slot < s->cap && s->used > 0);
	s->used--;
	free_push(s, slot);
}

void slot_index_init(struct slot_index *x)
{
	*x = (struct slot_index){0};
}

void slot_index_deinit(struct slot_index *x)
{
	free(x->buckets);
	free(x->next);
	free(x->hash);
	*x = (struct slot_index){0};
}

static void index_link(
    uint32_t *buckets, uint32_t cap, uint32_t *next, uint32_t hash, uint32_t slot)
{
	uint32_t *bucket = &buckets[hash & (cap - 1)];

	next[slot] = *bucket;
	*bucket = slot;
}

int slot_index_reserve(struct slot_index *x, uint32_t cap)
{
	if (cap <= x->cap)
		return 0;

	uint32_t *buckets = malloc(cap * sizeof(*buckets));
	uint32_t *next = malloc(cap * sizeof(*next));
	uint32_t *hash = malloc(cap * sizeof(*hash));
	if (!buckets || !next || !hash) {
		free(buckets);
		free(next);
		free(hash);
		return -ENOMEM;
	}
	memset(buckets, 0xff, cap * sizeof(*buckets)); /* SLOT_NONE */
	for (uint32_t b = 0; b < x->cap; b++) {
		for (uint32_t slot = x->buckets[b]; slot != SLOT_NONE; slot = x->next[slot]) {
			hash[slot] = x->hash[slot];
			index_link(buckets, cap, next, hash[slot], slot);
		}
	}
	slot_index_deinit(x);
	*x = (struct slot_index){.buckets = buckets, .next = next, .hash = hash, .cap = cap};
	return 0;
}

void slot_index_put(struct slot_index *x, uint64_t hash, uint32_t slot)
{
	assert(slot < x->cap);
	x->hash[slot] = (uint32_t)hash;
	index_link(x->buckets, x->cap, x->next, x->hash[slot], slot);
}

void slot_index_remove(struct slot_index *x, uint32_t slot)
{
	uint32_t *at = &x->buckets[x->hash[slot] & (x->cap - 1)];

	while (*at != slot) {
		assert(*at != SLOT_NONE);
		at = &x->next[*at];
	}
	*at = x->next[slot];
}

static uint32_t index_skip(const struct slot_index *x, uint32_t slot, uint32_t hash)
{
	while (slot != SLOT_NONE && x->hash[slot] != hash)
		slot = x->next[slot];
	return slot;
}

uint32_t slot_index_first(const struct slot_index *x, uint64_t hash)
{
	return x->cap ? index_skip(x, x->buckets[hash & (x->cap - 1)], (uint32_t)hash) : SLOT_NONE;
}

uint32_t slot_index_next(const struct slot_index *x, uint32_t slot)
{
	return index_skip(x, x->next[slot], x->hash[slot]);
}
