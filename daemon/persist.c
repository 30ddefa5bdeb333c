#include "persist.h"

#include <string.h>

#include "restore.h"
#include "store.h"

bool persist_reserve(struct broker *b)
{
	return !b->ledger || ledger_reserve(b->ledger);
}

/* One of ours is never longer than the ledger's. */
#define COPY(dst, src)                                                                             \
	do {                                                                                       \
		_Static_assert(sizeof(dst) >= sizeof(src), "would be cut");                        \
		memcpy(dst, src, sizeof(src));                                                     \
	} while (0)

void persist_asked(struct broker *b, struct ticket *k, const char *raw_name)
{
	const struct caller *c = k->caller;
	struct locktable_place place;

	k->entry = LEDGER_NONE;
	if (!b->ledger || !locktable_place(b->table, k->id, &place))
		return;
	struct ledger_request r = {
	    .uid = c->cred.uid,
	    .pid = c->cred.pid,
	    .subject_pid = k->subject_pid,
	    .reason = (uint32_t)k->reason,
	    .id = k->id,
	    .caller = c->id,
	    .tree = c->tree,
	    .process = c->cred.process,
	    .terminal = k->terminal->id,
	    .asked = k->asked,
	    .under = place.under,
	    .rank = place.rank,
	    .asked_under = k->under,
	    .task_id = k->task_id,
	};
	COPY(r.token, k->token);
	TICKET_COPY(r.text, text, k);
	COPY(r.comm, c->cred.comm);
	TICKET_COPY(r.subject_comm, subject_comm, k);
	strncpy(r.task_name, raw_name, sizeof(r.task_name) - 1);
	while (r.lineage_count < LEDGER_LINEAGE && r.lineage_count < k->lineage->count) {
		r.lineage[r.lineage_count] = k->lineage->pids[r.lineage_count];
		r.lineage_count++;
	}
	k->entry = ledger_add(b->ledger, &r);
}

static bool has_entry(const struct broker *b, const struct ticket *k)
{
	return b->ledger && k->entry != LEDGER_NONE;
}

void persist_granted(struct broker *b, const struct ticket *k)
{
	struct locktable_place place;

	if (has_entry(b, k) && locktable_place(b->table, k->id, &place))
		ledger_grant(b->ledger, k->entry, place.granted);
}

void persist_moved(struct broker *b, const struct ticket *k)
{
	struct locktable_place place;

	if (has_entry(b, k) && locktable_place(b->table, k->id, &place))
		ledger_move(b->ledger, k->entry, place.under, place.rank);
}

void persist_saved(struct broker *b, const struct ticket *k, const void *saved, size_t size)
{
	if (has_entry(b, k))
		ledger_save(b->ledger, k->entry, saved, size);
}

void persist_reowned(struct broker *b, const struct ticket *k)
{
	if (has_entry(b, k))
		ledger_set_caller(b->ledger, k->entry, k->caller->id);
}

void persist_left(struct broker *b, const struct ticket *k, const struct locktable_change *change)
{
	struct locktable_left left;
	struct ledger_left entry = {0};

	if (!b->ledger || !change->left_changed)
		return;
	locktable_get_left(b->table, change->terminal, change->level, &left);
	entry.dirty = left.dirty;
	entry.untold = left.untold;
	entry.saved_size = (uint16_t)left.saved_size;
	memcpy(entry.saved, left.saved, left.saved_size);
	const struct ticket *level =
	    change->level ? tickets_by_id(&b->tickets, change->level) : NULL;
	if (level && has_entry(b, level))
		ledger_set_left(b->ledger, level->entry, &entry);
	else if (!change->level)
		ledger_set_terminal_left(b->ledger, k->terminal->entry, &entry);
}

void persist_left_read(struct locktable_left *to, const struct ledger_left *from)
{
	*to = (struct locktable_left){
	    .dirty = from->dirty, .untold = from->untold, .saved_size = from->saved_size};
	memcpy(to->saved, from->saved, from->saved_size);
}

void persist_ended(struct broker *b, struct ticket *k)
{
	if (has_entry(b, k))
		ledger_end(b->ledger, k->entry);
	k->entry = LEDGER_NONE;
}

bool persist_terminal(struct broker *b, struct terminal *t)
{
	t->entry = LEDGER_NONE;
	if (!b->ledger)
		return true;
	struct ledger_terminal e = {
	    .device = t->proof.device,
	    .payer = t->payer ? t->payer->uid : 0,
	    .id = t->id,
	    .filesystem = t->proof.filesystem,
	};
	COPY(e.path, t->proof.path);
	t->entry = ledger_add_terminal(b->ledger, &e);
	if (t->entry == LEDGER_NONE)
		return false;
	store_put_terminal(t->id, t->proof.handle);
	return true;
}

void persist_terminal_forgotten(struct broker *b, const struct terminal *t)
{
	if (!b->ledger || t->entry == LEDGER_NONE)
		return;
	ledger_end_terminal(b->ledger, t->entry);
	store_remove_terminal(t->id);
}
