#include "absent.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "recall.h"
#include "tell.h"
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
static struct caller *absent_get(const struct ledger_request *r, void *arg)
{
	struct absents *set = arg;
	struct absent *a = set->last_caller && set->first && set->first->caller.id == r->caller
			       ? set->first
			       : absent_find(set, r->caller);

	if (a)
		return &a->caller;
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
	return &a->caller;
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
			tell_log(tickets_by_id(&set->broker->tickets, id), LOG_KIND_HOLDER_ABSENT,
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
	if (!set->first)
		event_del(set->tick);
}

/* --- making ------------------------------------------------------------ */

/* Once all is in the table: the dead leave, the others are looked after. */
static bool watch_all(struct absents *set)
{
	struct absent *next;

	for (struct absent *a = set->first; a; a = next) {
		next = a->next;
		if (a->caller.cred.pidfd < 0) {
			absent_end(a);
			continue;
		}
		event_assign(&a->died, set->base, a->caller.cred.pidfd, EV_READ, on_died, a);
		if (event_add(&a->died, NULL) < 0)
			return false;
	}
	return true;
}

struct absents *absents_new(
    struct event_base *base, struct broker *broker, struct usages *usages, int grace)
{
	struct absents *set = calloc(1, sizeof(*set));
	if (!set)
		return NULL;

	*set =
	    (struct absents){.base = base, .broker = broker, .usages = usages, .grace = {grace, 0}};
	set->tick = event_new(base, -1, EV_PERSIST, on_tick, set);
	struct recall r = {.broker = broker, .usages = usages, .caller = absent_get, .arg = set};
	if (!set->tick || !recall(&r) || !watch_all(set) ||
	    (set->first && event_add(set->tick, &set->grace) < 0)) {
		/* The ledger is for the next daemon, as it was. */
		broker_freeze(broker);
		absents_free(set);
		return NULL;
	}
	if (r.holders || r.waiters) {
		char note[64];

		snprintf(note, sizeof(note), "%u holders, %u waiters", r.holders, r.waiters);
		log_event(&(struct log_event){.kind = LOG_KIND_RESTORED, .note = note});
	}
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
