#include "ticket.h"

#include <sanitizer/asan_interface.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void tickets_init(struct tickets *set, uint32_t max, uint64_t seed)
{
	slots_init(&set->slots, sizeof(struct ticket *), max);
	slot_index_init(&set->by_id);
	slot_index_init(&set->by_number);
	slot_index_init(&set->by_token);
	set->seed = seed;
	set->spare = NULL;
	set->spare_size = 0;
}

void tickets_deinit(struct tickets *set)
{
	ASAN_UNPOISON_MEMORY_REGION(set->spare, set->spare_size);
	free(set->spare);
	slots_deinit(&set->slots);
	slot_index_deinit(&set->by_id);
	slot_index_deinit(&set->by_number);
	slot_index_deinit(&set->by_token);
}

static struct ticket **ticket_at(const struct tickets *set, uint32_t slot)
{
	return slots_at(&set->slots, slot);
}

static uint64_t id_hash(const struct tickets *set, uint64_t id)
{
	return slot_hash(set->seed, id);
}

static uint64_t number_hash(const struct tickets *set, const struct caller *c, uint64_t number)
{
	return slot_hash(slot_hash(set->seed, c->id), number);
}

static uint64_t token_hash(const struct tickets *set, const uint8_t token[TOKEN_SIZE])
{
	uint64_t half[2];

	_Static_assert(sizeof(half) == TOKEN_SIZE, "another size of token");
	memcpy(half, token, sizeof(half));
	return slot_hash(slot_hash(set->seed, half[0]), half[1]);
}

static size_t ticket_size(const struct ticket *k)
{
	return offsetof(struct ticket, texts) + k->comm_at + strlen(ticket_subject_comm(k)) + 1;
}

/* Whoever asks and releases again and again finds the last one's memory. To use it in
 * between is an error that ASan sees. */
static struct ticket *memory_take(struct tickets *set, size_t size)
{
	struct ticket *k = set->spare;

	if (!k || set->spare_size < size)
		return malloc(size);
	ASAN_UNPOISON_MEMORY_REGION(k, set->spare_size);
	set->spare = NULL;
	set->spare_size = 0;
	return k;
}

static void memory_give(struct tickets *set, struct ticket *k)
{
	ASAN_UNPOISON_MEMORY_REGION(set->spare, set->spare_size);
	free(set->spare);
	set->spare_size = ticket_size(k);
	set->spare = k;
	ASAN_POISON_MEMORY_REGION(k, set->spare_size);
}

static struct ticket *ticket_alloc(struct tickets *set, const struct ticket_texts *texts)
{
	size_t name = strlen(texts->task_name) + 1, text = strlen(texts->text) + 1;
	size_t comm = strlen(texts->subject_comm) + 1;
	struct ticket *k = memory_take(set, offsetof(struct ticket, texts) + name + text + comm);

	if (!k)
		return NULL;
	memset(k, 0, offsetof(struct ticket, texts));
	k->text_at = (uint16_t)name;
	k->comm_at = (uint16_t)(name + text);
	memcpy(k->texts, texts->task_name, name);
	memcpy(k->texts + k->text_at, texts->text, text);
	memcpy(k->texts + k->comm_at, texts->subject_comm, comm);
	return k;
}

struct ticket *ticket_new(struct tickets *set, const struct ticket_texts *texts)
{
	uint32_t slot = slots_take(&set->slots);
	if (slot == SLOT_NONE)
		return NULL;

	struct ticket *k = NULL;
	if (slot_index_reserve(&set->by_id, set->slots.cap) == 0 &&
	    slot_index_reserve(&set->by_number, set->slots.cap) == 0 &&
	    slot_index_reserve(&set->by_token, set->slots.cap) == 0)
		k = ticket_alloc(set, texts);
	if (!k) {
		slots_give(&set->slots, slot);
		return NULL;
	}
	k->slot = slot;
	*ticket_at(set, slot) = k;
	return k;
}

void ticket_file(struct tickets *set, struct ticket *k)
{
	static const uint8_t zero[TOKEN_SIZE];

	slot_index_put(&set->by_id, id_hash(set, k->id), k->slot);
	slot_index_put(&set->by_number, number_hash(set, k->caller, k->number), k->slot);
	k->proven = memcmp(k->token, zero, sizeof(zero)) != 0;
	if (k->proven)
		slot_index_put(&set->by_token, token_hash(set, k->token), k->slot);
}

void ticket_reown(struct tickets *set, struct ticket *k, struct caller *c, uint64_t number)
{
	slot_index_remove(&set->by_number, k->slot);
	k->caller = c;
	k->number = number;
	slot_index_put(&set->by_number, number_hash(set, c, number), k->slot);
}

void ticket_free(struct tickets *set, struct ticket *k)
{
	if (k->id) {
		slot_index_remove(&set->by_id, k->slot);
		slot_index_remove(&set->by_number, k->slot);
	}
	if (k->proven)
		slot_index_remove(&set->by_token, k->slot);
	slots_give(&set->slots, k->slot);
	terminal_unref(k->terminal);
	lineage_unref(k->lineage);
	memory_give(set, k);
}

struct ticket *tickets_by_id(const struct tickets *set, uint64_t id)
{
	uint32_t slot = slot_index_first(&set->by_id, id_hash(set, id));

	for (; slot != SLOT_NONE; slot = slot_index_next(&set->by_id, slot)) {
		if ((*ticket_at(set, slot))->id == id)
			return *ticket_at(set, slot);
	}
	return NULL;
}

struct ticket *tickets_by_number(const struct tickets *set, const struct caller *c, uint64_t number)
{
	uint32_t slot = slot_index_first(&set->by_number, number_hash(set, c, number));

	for (; slot != SLOT_NONE; slot = slot_index_next(&set->by_number, slot)) {
		struct ticket *k = *ticket_at(set, slot);

		if (k->caller == c && k->number == number)
			return k;
	}
	return NULL;
}

struct ticket *tickets_by_token(const struct tickets *set, const uint8_t token[TOKEN_SIZE])
{
	uint32_t slot = slot_index_first(&set->by_token, token_hash(set, token));

	for (; slot != SLOT_NONE; slot = slot_index_next(&set->by_token, slot)) {
		if (memcmp((*ticket_at(set, slot))->token, token, TOKEN_SIZE) == 0)
			return *ticket_at(set, slot);
	}
	return NULL;
}
