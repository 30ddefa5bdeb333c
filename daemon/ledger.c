#include "ledger.h"

#include <string.h>

#include "ledger_entries.h"
#include "ledger_tail.h"

static struct ledger_entry *request_at(const struct ledger *l, uint32_t entry)
{
	return ledger_map_entry(&l->map, LEDGER_REQUESTS, entry);
}

static struct ledger_terminal *terminal_at(const struct ledger *l, uint32_t entry)
{
	return ledger_map_entry(&l->map, LEDGER_TERMINALS, entry);
}

/* What was stored before is seen with it, what is stored later not before it: a
 * mere matter of the compiler here, for we are the only one who writes, and who
 * reads starts after our death. */
static void publish(uint32_t *state, uint32_t value)
{
	__atomic_store_n(state, value, __ATOMIC_SEQ_CST);
}

int ledger_fd(const struct ledger *l)
{
	return l->map.fd;
}

bool ledger_was_converted(const struct ledger *l)
{
	return l->converted;
}

bool ledger_is_empty(const struct ledger *l)
{
	const struct pool *p = l->pool;

	if (p[LEDGER_REQUESTS].free_count != p[LEDGER_REQUESTS].count)
		return false;
	for (uint32_t i = 0; i < ledger_terminals(l); i++) {
		if (terminal_at(l, i)->used && terminal_at(l, i)->left.dirty)
			return false;
	}
	return true;
}

/* --- reading ----------------------------------------------------------- */

uint64_t ledger_last_id(const struct ledger *l)
{
	return *ledger_map_last_id(&l->map);
}

uint32_t ledger_requests(const struct ledger *l)
{
	return ledger_map_count(&l->map, LEDGER_REQUESTS);
}

uint32_t ledger_terminals(const struct ledger *l)
{
	return ledger_map_count(&l->map, LEDGER_TERMINALS);
}

#define END_STRING(array) ((array)[sizeof(array) - 1] = '\0')

static void left_mend(struct ledger_left *left)
{
	if (left->saved_size > LEDGER_SAVED_MAX)
		left->saved_size = 0;
}

bool ledger_get_request(const struct ledger *l, uint32_t entry, struct ledger_request *out)
{
	struct ledger_entry e;

	if (ledger_map_version(&l->map) == 1) {
		entry_read(l, LEDGER_REQUESTS, entry, out, sizeof(*out));
	} else {
		*out = (struct ledger_request){0};
		entry_read(l, LEDGER_REQUESTS, entry, &e, sizeof(e));
		memcpy(out, &e, offsetof(struct ledger_entry, tail));
		tail_read(l, &e.tail, out);
	}
	if (!out->state)
		return false;
	END_STRING(out->task_name);
	END_STRING(out->text);
	END_STRING(out->comm);
	END_STRING(out->subject_comm);
	if (out->lineage_count > LEDGER_LINEAGE)
		out->lineage_count = LEDGER_LINEAGE;
	return true;
}

void ledger_get_hold(const struct ledger *l, uint32_t entry, struct ledger_hold *out)
{
	const struct ledger_hold *h = hold_at(l, entry);

	*out = h && h->used ? *h : (struct ledger_hold){0};
	if (out->saved_size > LEDGER_SAVED_MAX)
		out->saved_size = 0;
	left_mend(&out->left);
}

bool ledger_get_terminal(const struct ledger *l, uint32_t entry, struct ledger_terminal *out)
{
	*out = *terminal_at(l, entry);
	END_STRING(out->path);
	left_mend(&out->left);
	return out->used;
}

/* --- writing ----------------------------------------------------------- */

bool ledger_reserve(struct ledger *l)
{
	return entries_reserve(l, LEDGER_REQUESTS, 1) &&
	       entries_reserve(l, LEDGER_BLOCKS, LEDGER_TAIL_BLOCKS);
}

uint32_t ledger_add(struct ledger *l, const struct ledger_request *r)
{
	uint32_t entry = entry_take(l, LEDGER_REQUESTS);
	if (entry == LEDGER_NONE)
		return LEDGER_NONE;

	struct ledger_entry *at = request_at(l, entry);
	if (!tail_write(l, r, &at->tail)) {
		entry_give(l, LEDGER_REQUESTS, entry);
		return LEDGER_NONE;
	}
	struct ledger_hold *h = hold_at(l, entry);
	if (h && h->used)
		*h = (struct ledger_hold){0};
	memcpy((char *)at + sizeof(at->state), (const char *)r + sizeof(r->state),
	    offsetof(struct ledger_entry, tail) - sizeof(at->state));
	if (r->id > *ledger_map_last_id(&l->map))
		*ledger_map_last_id(&l->map) = r->id;
	publish(&at->state, LEDGER_QUEUED);
	return entry;
}

void ledger_grant(struct ledger *l, uint32_t entry, uint64_t granted)
{
	request_at(l, entry)->granted = granted;
	publish(&request_at(l, entry)->state, LEDGER_GRANTED);
}

void ledger_move(struct ledger *l, uint32_t entry, uint64_t under, int64_t rank)
{
	/* Half of it is a place further back, never one that is not its own. */
	request_at(l, entry)->under = under;
	request_at(l, entry)->rank = rank;
}

void ledger_set_caller(struct ledger *l, uint32_t entry, uint64_t caller)
{
	request_at(l, entry)->caller = caller;
}

void ledger_save(struct ledger *l, uint32_t entry, const void *saved, size_t size)
{
	struct ledger_hold *h = hold_get(l, entry);

	if (!h)
		return;
	publish(&h->saved_size, 0);
	memcpy(h->saved, saved, size);
	publish(&h->saved_size, (uint32_t)size);
	publish(&h->used, 1);
}

/* Dirty without a state while it is written: that is true, and says less. */
static void left_write(struct ledger_left *to, const struct ledger_left *from)
{
	__atomic_store_n(&to->saved_size, 0, __ATOMIC_SEQ_CST);
	to->dirty = from->dirty;
	to->untold = from->untold;
	memcpy(to->saved, from->saved, sizeof(to->saved));
	__atomic_store_n(&to->saved_size, from->saved_size, __ATOMIC_SEQ_CST);
}

void ledger_set_left(struct ledger *l, uint32_t entry, const struct ledger_left *left)
{
	struct ledger_hold *h = hold_get(l, entry);

	if (!h)
		return;
	left_write(&h->left, left);
	publish(&h->used, 1);
}

void ledger_end(struct ledger *l, uint32_t entry)
{
	publish(&request_at(l, entry)->state, LEDGER_FREE);
	tail_give(l, &request_at(l, entry)->tail);
	entry_give(l, LEDGER_REQUESTS, entry);
}

uint32_t ledger_add_terminal(struct ledger *l, const struct ledger_terminal *t)
{
	uint32_t entry = entry_take(l, LEDGER_TERMINALS);
	if (entry == LEDGER_NONE)
		return LEDGER_NONE;

	struct ledger_terminal *at = terminal_at(l, entry);
	memcpy((char *)at + sizeof(at->used), (const char *)t + sizeof(t->used),
	    sizeof(*at) - sizeof(at->used));
	publish(&at->used, 1);
	return entry;
}

void ledger_set_terminal_left(struct ledger *l, uint32_t entry, const struct ledger_left *left)
{
	left_write(&terminal_at(l, entry)->left, left);
}

void ledger_end_terminal(struct ledger *l, uint32_t entry)
{
	publish(&terminal_at(l, entry)->used, 0);
	entry_give(l, LEDGER_TERMINALS, entry);
}
