#include "recall.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kept.h"
#include "log.h"
#include "persist.h"
#include "restore.h"
#include "store.h"
#include "text.h"

/* A request as the ledger has it. */
struct entry {
	uint32_t number;
	struct ledger_request request;
};

/* --- terminals --------------------------------------------------------- */

/* By its name, if it is still the same device there. */
static int handle_open(const struct ledger_terminal *t)
{
	struct stat st;
	int fd = t->path[0] == '/' ? open(t->path, O_PATH | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_dev != t->filesystem ||
			   st.st_rdev != (dev_t)t->device || st.st_nlink == 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool terminal_restore(
    const struct recall *set, uint32_t entry, const struct ledger_terminal *t)
{
	struct broker *b = set->broker;
	struct locktable_left left;
	struct proof p = {
	    .filesystem = t->filesystem, .device = t->device, .handle = store_take_terminal(t->id)};
	struct usage *payer = usages_get(set->usages, t->payer);

	if (p.handle < 0)
		p.handle = handle_open(t);
	text_clean(p.path, sizeof(p.path), t->path, sizeof(t->path));
	struct terminal *term = payer ? terminals_restore(&b->terminals, t->id, &p, payer) : NULL;
	usage_unref(payer);
	proof_close(&p);
	if (!term)
		return false;
	term->entry = entry;
	if (t->left.dirty) {
		persist_left_read(&left, &t->left);
		return locktable_set_left(b->table, t->id, 0, &left);
	}
	return true;
}

static struct terminal *terminal_find(const struct broker *b, uint64_t id)
{
	struct terminal *t = b->terminals.first;

	while (t && t->id != id)
		t = t->next;
	return t;
}

static bool terminals_read(const struct recall *set)
{
	struct ledger *l = set->broker->ledger;
	struct ledger_terminal t;

	for (uint32_t i = 0; i < ledger_terminals(l); i++) {
		if (!ledger_get_terminal(l, i, &t))
			continue;
		if (terminal_find(set->broker, t.id))
			ledger_end_terminal(l, i);
		else if (!terminal_restore(set, i, &t))
			return false;
	}
	return true;
}

/* --- requests ---------------------------------------------------------- */

static struct lineage *lineage_restore(const struct ledger_request *r)
{
	struct lineage *l = malloc(sizeof(*l) + r->lineage_count * sizeof(l->pids[0]));

	if (!l)
		return NULL;
	l->refs = 1;
	l->count = r->lineage_count;
	for (uint32_t i = 0; i < l->count; i++)
		l->pids[i] = r->lineage[i];
	return l;
}

static bool ticket_restore(
    struct broker *b, struct caller *c, struct terminal *term, const struct entry *e)
{
	const struct ledger_request *r = &e->request;
	struct ticket_texts texts;

	text_clean(texts.task_name, sizeof(texts.task_name), r->task_name, sizeof(r->task_name));
	text_clean(texts.text, sizeof(texts.text), r->text, sizeof(r->text));
	text_clean(texts.subject_comm, sizeof(texts.subject_comm), r->subject_comm,
	    sizeof(r->subject_comm));
	struct ticket *k = ticket_new(&b->tickets, &texts);
	if (!k)
		return false;
	k->lineage = lineage_restore(r);
	if (!k->lineage) {
		ticket_free(&b->tickets, k);
		return false;
	}
	k->id = r->id;
	k->number = r->id; /* nobody will name it by that */
	k->caller = c;
	k->terminal = terminal_ref(term);
	k->reason = (int)r->reason;
	k->task_id = r->task_id;
	k->subject_pid = r->subject_pid;
	k->asked = r->asked;
	k->under = r->asked_under;
	k->entry = e->number;
	memcpy(k->token, r->token, sizeof(k->token));
	ticket_file(&b->tickets, k);
	c->usage->requests++;
	return true;
}

static struct locktable_place place_of(const struct ledger_request *r)
{
	return (struct locktable_place){
	    /* A state that we do not know is one in which it may hold. */
	    .granted = r->state == LEDGER_QUEUED ? 0 : r->granted,
	    .under = r->under,
	    .rank = r->rank,
	};
}

/* False: out of memory. One that makes no sense is struck out. */
static bool request_restore(const struct recall *set, const struct entry *e)
{
	struct broker *b = set->broker;
	const struct ledger_request *r = &e->request;
	struct locktable_place place = place_of(r);
	struct terminal *term = terminal_find(b, r->terminal);
	struct caller *c = term ? set->caller(r, set->arg) : NULL;
	struct locktable_wish wish = {
	    .owner = r->caller,
	    .process = r->process,
	    .terminal = r->terminal,
	    .task = {.id = r->task_id},
	};
	struct ledger_hold hold;
	struct locktable_change change;

	if (term && !c)
		return false;
	memcpy(wish.task.name, r->task_name, sizeof(wish.task.name));
	if (!term || locktable_knows(b->table, &wish, r->id)) {
		log_warnx("the ledger's request %llu makes no sense", (unsigned long long)r->id);
		ledger_end(b->ledger, e->number);
		return true;
	}
	if (!locktable_restore(b->table, &wish, r->id, &place, r->asked))
		return false;
	if (place.granted) {
		ledger_get_hold(b->ledger, e->number, &hold);
		if (hold.saved_size)
			locktable_save(b->table, r->id, hold.saved, hold.saved_size);
	}
	if (ticket_restore(b, c, term, e))
		return true;
	/* None is in the table that nobody else knows. */
	locktable_release(b->table, r->id, LOCKTABLE_UNTOUCHED, &change);
	return false;
}

static void left_restore(const struct recall *set, const struct entry *e)
{
	struct ledger_hold hold;
	struct locktable_left left;

	ledger_get_hold(set->broker->ledger, e->number, &hold);
	if (!hold.left.dirty)
		return;
	persist_left_read(&left, &hold.left);
	locktable_set_left(set->broker->table, e->request.terminal, e->request.id, &left);
}

/* For who follows the log over a restart (tests/model/replay.py). */
static void tell_restored(const struct broker *b, const struct entry *e)
{
	struct locktable_place place = place_of(&e->request);
	const struct ticket *k = tickets_by_id(&b->tickets, e->request.id);

	if (k)
		log_debug("%s: request %llu restored as %s: pid %d (%s), grant %llu",
		    k->terminal->proof.path, (unsigned long long)k->id,
		    place.granted ? "holder" : "waiter", (int)k->caller->cred.pid,
		    k->caller->cred.comm,
		    (unsigned long long)(place.granted ? place.granted : place.under));
}

static int entry_compare(const void *a, const void *b)
{
	struct locktable_place pa = place_of(&((const struct entry *)a)->request);
	struct locktable_place pb = place_of(&((const struct entry *)b)->request);

	return restore_compare(&pa, &pb);
}

static bool requests_read(struct recall *set)
{
	struct ledger *l = set->broker->ledger;
	uint32_t n = 0, max = ledger_requests(l);
	struct entry *all = calloc(max ? max : 1, sizeof(*all));
	bool good = all != NULL;

	for (uint32_t i = 0; good && i < max; i++) {
		all[n].number = i;
		n += ledger_get_request(l, i, &all[n].request);
	}
	if (good)
		qsort(all, n, sizeof(*all), entry_compare);
	for (uint32_t i = 0; good && i < n; i++) {
		good = request_restore(set, &all[i]);
		set->holders += all[i].request.state != LEDGER_QUEUED;
		set->waiters += all[i].request.state == LEDGER_QUEUED;
		tell_restored(set->broker, &all[i]);
	}
	for (uint32_t i = 0; good && i < n; i++)
		left_restore(set, &all[i]);
	free(all);
	return good;
}

/* --- both -------------------------------------------------------------- */

static void terminals_serve(struct broker *b)
{
	struct terminal *next;

	for (struct terminal *t = b->terminals.first; t; t = next) {
		next = t->next;
		broker_restored(b, t);
		terminal_unref(t); /* what is not used is forgotten */
	}
}

bool recall(struct recall *set)
{
	struct broker *b = set->broker;

	if (!b->ledger)
		return true;
	log_debug("reads the last daemon's record");
	if (!terminals_read(set) || !requests_read(set))
		return false;
	locktable_skip_ids(b->table, ledger_last_id(b->ledger));
	terminals_serve(b);
	return true;
}
