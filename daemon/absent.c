#include "absent.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdio.h>
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

struct absent {
	struct caller caller;
	struct event died;
	struct absents *set;
	struct absent *next;
};

struct absents {
	struct event_base *base;
	struct broker *broker;
	struct usages *usages;
	struct absent *first; // owns
	struct event *tick;
	struct timeval grace;
	uint64_t last_caller;
	bool told; /* who holds and is missed */
};

/* A request as the ledger has it. */
struct entry {
	uint32_t number;
	struct ledger_request request;
};

/* --- callers ----------------------------------------------------------- */

static void absent_free(struct absent *a)
{
	if (event_initialized(&a->died))
		event_del(&a->died);
	cred_close(&a->caller.cred);
	usage_unref(a->caller.usage);
	free(a);
}

/* Takes it off the list, and its requests away. */
static void absent_end(struct absent *a)
{
	struct absent **at = &a->set->first;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	broker_caller_gone(a->set->broker, &a->caller);
	absent_free(a);
}

static void on_died(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	absent_end(arg);
}

static struct absent *absent_find(const struct absents *set, uint64_t id)
{
	struct absent *a = set->first;

	while (a && a->caller.id != id)
		a = a->next;
	return a;
}

/* One whose process is dead is treated as any: its pidfd is -1 then. */
static struct absent *absent_get(struct absents *set, const struct ledger_request *r)
{
	struct absent *a = set->last_caller && set->first && set->first->caller.id == r->caller
			       ? set->first
			       : absent_find(set, r->caller);

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->caller = (struct caller){
	    .id = r->caller,
	    .cred = {.uid = r->uid, .pid = r->pid, .pidfd = -1, .process = r->process},
	    .usage = usages_get(set->usages, r->uid),
	    .tree = r->tree,
	    .greeted = true,
	    .absent = true,
	};
	if (!a->caller.usage) {
		free(a);
		return NULL;
	}
	struct cred found;
	int rc = cred_find(r->pid, r->process, &found);
	if (rc == 0)
		a->caller.cred.pidfd = found.pidfd;
	/* Who is not known to be dead is not to be treated so. */
	if (rc < 0 && rc != -ESRCH) {
		errno = -rc;
		log_warn("pid %d", (int)r->pid);
		usage_unref(a->caller.usage);
		free(a);
		return NULL;
	}
	text_clean(a->caller.cred.comm, sizeof(a->caller.cred.comm), r->comm, sizeof(r->comm));
	a->set = set;
	a->next = set->first;
	set->first = a;
	if (r->caller > set->last_caller)
		set->last_caller = r->caller;
	return a;
}

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

static bool terminal_restore(struct absents *set, uint32_t entry, const struct ledger_terminal *t)
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

static bool terminals_read(struct absents *set)
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
    struct broker *b, struct absent *a, struct terminal *term, const struct entry *e)
{
	const struct ledger_request *r = &e->request;
	struct ticket *k = ticket_new(&b->tickets);

	if (!k)
		return false;
	k->lineage = lineage_restore(r);
	if (!k->lineage) {
		ticket_free(&b->tickets, k);
		return false;
	}
	k->id = r->id;
	k->number = r->id; /* nobody will name it by that */
	k->caller = &a->caller;
	k->terminal = terminal_ref(term);
	k->reason = (int)r->reason;
	text_clean(k->task_name, sizeof(k->task_name), r->task_name, sizeof(r->task_name));
	text_clean(k->text, sizeof(k->text), r->text, sizeof(r->text));
	text_clean(
	    k->subject_comm, sizeof(k->subject_comm), r->subject_comm, sizeof(r->subject_comm));
	k->task_id = r->task_id;
	k->subject_pid = r->subject_pid;
	k->asked = r->asked;
	k->under = r->asked_under;
	k->entry = e->number;
	memcpy(k->token, r->token, sizeof(k->token));
	ticket_file(&b->tickets, k);
	a->caller.usage->requests++;
	return true;
}

static struct locktable_place place_of(const struct ledger_request *r)
{
	return (struct locktable_place){
	    .granted = r->state == LEDGER_GRANTED ? r->granted : 0,
	    .under = r->under,
	    .rank = r->rank,
	};
}

/* False: out of memory. One that makes no sense is struck out. */
static bool request_restore(struct absents *set, const struct entry *e)
{
	struct broker *b = set->broker;
	const struct ledger_request *r = &e->request;
	struct locktable_place place = place_of(r);
	struct terminal *term = terminal_find(b, r->terminal);
	struct absent *a = term ? absent_get(set, r) : NULL;
	struct locktable_wish wish = {
	    .owner = r->caller,
	    .process = r->process,
	    .terminal = r->terminal,
	    .task = {.id = r->task_id},
	};
	struct ledger_hold hold;

	if (term && !a)
		return false;
	memcpy(wish.task.name, r->task_name, sizeof(wish.task.name));
	if (!term || !locktable_restore(b->table, &wish, r->id, &place, r->asked)) {
		log_warnx("the ledger's request %llu makes no sense", (unsigned long long)r->id);
		ledger_end(b->ledger, e->number);
		return true;
	}
	if (place.granted) {
		ledger_get_hold(b->ledger, e->number, &hold);
		if (hold.saved_size)
			locktable_save(b->table, r->id, hold.saved, hold.saved_size);
	}
	return ticket_restore(b, a, term, e);
}

static void left_restore(struct absents *set, const struct entry *e)
{
	struct ledger_hold hold;
	struct locktable_left left;

	ledger_get_hold(set->broker->ledger, e->number, &hold);
	if (!hold.left.dirty)
		return;
	persist_left_read(&left, &hold.left);
	locktable_set_left(set->broker->table, e->request.terminal, e->request.id, &left);
}

static int entry_compare(const void *a, const void *b)
{
	struct locktable_place pa = place_of(&((const struct entry *)a)->request);
	struct locktable_place pb = place_of(&((const struct entry *)b)->request);

	return restore_compare(&pa, &pb);
}

static bool requests_read(struct absents *set, unsigned *holders, unsigned *waiters)
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
		*holders += all[i].request.state == LEDGER_GRANTED;
		*waiters += all[i].request.state != LEDGER_GRANTED;
	}
	for (uint32_t i = 0; good && i < n; i++)
		left_restore(set, &all[i]);
	free(all);
	return good;
}

/* --- time -------------------------------------------------------------- */

/* The waiters, and then the grants that nobody was told of: so none of them is
 * granted anything on the way. */
static uint32_t overdue_list(const struct broker *b, uint64_t *ids, uint32_t max)
{
	struct locktable_cursor cursor = {0};
	struct locktable_view view;
	uint32_t n = 0, grants = max;

	while (locktable_next(b->table, &cursor, &view)) {
		const struct ticket *k = tickets_by_id(&b->tickets, view.request);

		if (!k->caller->absent || (view.holds && !k->untold))
			continue;
		if (view.holds)
			ids[--grants] = view.request;
		else
			ids[n++] = view.request;
	}
	memmove(ids + n, ids + grants, (max - grants) * sizeof(*ids));
	return n + max - grants;
}

static void overdue_end(struct absents *set)
{
	struct broker *b = set->broker;
	uint32_t max = locktable_requests(b->table);
	uint64_t *ids = calloc(max ? max : 1, sizeof(*ids));
	uint32_t n = ids ? overdue_list(b, ids, max) : 0;

	for (uint32_t i = 0; i < n; i++) {
		struct ticket *k = tickets_by_id(&b->tickets, ids[i]);

		if (k)
			broker_end(b, k, BROKER_ABSENT, NULL);
	}
	free(ids);
}

/* Who has come back leaves nothing to wait for. */
static void returned_free(struct absents *set)
{
	struct absent *next;

	for (struct absent *a = set->first; a; a = next) {
		uint64_t id = locktable_owned(set->broker->table, a->caller.id);

		next = a->next;
		if (!id)
			absent_end(a);
		else if (!set->told)
			broker_log(tickets_by_id(&set->broker->tickets, id), LOG_KIND_HOLDER_ABSENT,
			    NULL, NULL);
	}
	set->told = true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct absents *set = arg;

	(void)fd;
	(void)what;
	overdue_end(set);
	returned_free(set);
	if (set->first)
		event_add(set->tick, &set->grace);
}

/* --- making ------------------------------------------------------------ */

/* Once all is in the table: the dead leave, the others are looked after. */
static void watch_all(struct absents *set)
{
	struct absent *next;

	for (struct absent *a = set->first; a; a = next) {
		next = a->next;
		if (a->caller.cred.pidfd < 0) {
			absent_end(a);
			continue;
		}
		event_assign(&a->died, set->base, a->caller.cred.pidfd, EV_READ, on_died, a);
		event_add(&a->died, NULL);
	}
}

static void terminals_serve(struct broker *b)
{
	struct terminal *next;

	for (struct terminal *t = b->terminals.first; t; t = next) {
		next = t->next;
		broker_restored(b, t);
		terminal_unref(t); /* what is not used is forgotten */
	}
}

struct absents *absents_new(
    struct event_base *base, struct broker *broker, struct usages *usages, int grace)
{
	unsigned holders = 0, waiters = 0;
	struct absents *set = calloc(1, sizeof(*set));
	if (!set)
		return NULL;

	*set =
	    (struct absents){.base = base, .broker = broker, .usages = usages, .grace = {grace, 0}};
	set->tick = evtimer_new(base, on_tick, set);
	if (!set->tick ||
	    (broker->ledger && (!terminals_read(set) || !requests_read(set, &holders, &waiters)))) {
		absents_free(set);
		return NULL;
	}
	if (broker->ledger)
		locktable_skip_ids(broker->table, ledger_last_id(broker->ledger));
	terminals_serve(broker);
	watch_all(set);
	if (holders || waiters) {
		char note[64];

		snprintf(note, sizeof(note), "%u holders, %u waiters", holders, waiters);
		log_event(&(struct log_event){.kind = LOG_KIND_RESTORED, .note = note});
	}
	if (set->first)
		event_add(set->tick, &set->grace);
	return set;
}

void absents_free(struct absents *set)
{
	if (!set)
		return;
	while (set->first) {
		struct absent *a = set->first;

		set->first = a->next;
		broker_caller_gone(set->broker, &a->caller);
		absent_free(a);
	}
	if (set->tick)
		event_free(set->tick);
	free(set);
}

bool absents_any(const struct absents *set)
{
	return set->first;
}

uint64_t absents_last_caller(const struct absents *set)
{
	return set->last_caller;
}
