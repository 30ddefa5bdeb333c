#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "idle.h"
#include "kept.h"
#include "lineage.h"
#include "persist.h"
#include "reclaim.h"
#include "sync_point.h"
#include "tell.h"
#include "watch.h"

static void terminal_forgotten(const struct terminal *t, void *arg)
{
	persist_terminal_forgotten(arg, t);
}

int broker_init(struct broker *b, const struct outlet_ops *ops, struct ledger *ledger,
    uint32_t requests_max, uint32_t terminals_max)
{
	uint64_t seed = 0;

	/* Before the pool is ready (early boot) keys can be guessed: slow, not wrong. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = clock_ms();
	*b = (struct broker){
	    .ops = ops,
	    .ledger = ledger,
	    .requests_max = requests_max,
	    .terminals_max = terminals_max,
	    .started = clock_ms(),
	};
	b->table = locktable_new(requests_max, terminals_max, seed);
	if (!b->table)
		return -ENOMEM;
	tickets_init(&b->tickets, requests_max, seed);
	terminals_init(&b->terminals);
	b->terminals.forgotten = terminal_forgotten;
	b->terminals.forgotten_arg = b;
	return 0;
}

static void send_nothing(struct caller *c, const ttylock_Envelope *e, enum outlet_urgency urgency)
{
	(void)c;
	(void)e;
	(void)urgency;
}

void broker_freeze(struct broker *b)
{
	static const struct outlet_ops nothing = {.send = send_nothing};

	b->ledger = NULL;
	b->ops = &nothing;
	b->frozen = true;
}

void broker_deinit(struct broker *b)
{
	broker_freeze(b);
	terminals_deinit(&b->terminals);
	tickets_deinit(&b->tickets);
	locktable_free(b->table);
}

/* --- requests ---------------------------------------------------------- */

static void lock_refused(struct broker *b, struct ticket *k, const struct locktable_change *change)
{
	ttylock_Code code = change->outcome == LOCKTABLE_BUSY	    ? ttylock_Code_ERROR_BUSY
			    : change->outcome == LOCKTABLE_DEADLOCK ? ttylock_Code_ERROR_DEADLOCK
								    : ttylock_Code_ERROR_QUOTA;

	if (change->outcome == LOCKTABLE_BUSY)
		tell_log(k, LOG_KIND_REFUSED, NULL, "busy");
	else if (change->outcome != LOCKTABLE_DEADLOCK)
		tell_log(k, LOG_KIND_QUOTA, NULL, "the table is full");
	else if (change->first)
		tell_log(k, LOG_KIND_REFUSED, NULL, "this task has asked already");
	else
		tell_log(k, LOG_KIND_DEADLOCK, NULL, NULL);
	tell_not_granted(b, k, ttylock_State_STATE_REFUSED, code, change, OUTLET_REPLY);
	ticket_free(&b->tickets, k);
}

/* Before its owner is told, if that is here. */
static void granted(struct broker *b, struct ticket *k, const struct locktable_grant *g)
{
	if (!b->frozen)
		tell_log(
		    k, LOG_KIND_GRANTED, NULL, g->dirty ? "the last holder did not release" : NULL);
	k->caller->holds++;
	k->untold = k->caller->absent;
	if (!k->untold) {
		persist_granted(b, k);
		SYNC_POINT("broker.recorded-not-told");
		tell_granted(b, k, g);
	}
	tell_watchers(b, ttylock_EventKind_EVENT_GRANTED, k, 0, NULL);
}

/* Asked by somebody who never heard what became of it before the restart. */
static bool is_asked_again(
    struct broker *b, struct ticket *k, const struct locktable_change *change)
{
	struct ticket *first = change->outcome == LOCKTABLE_DEADLOCK && change->first
				   ? tickets_by_id(&b->tickets, change->first)
				   : NULL;

	if (!first || !first->caller->absent || first->caller->cred.uid != k->caller->cred.uid)
		return false;
	reclaim(b, first, k->caller, k->number);
	ticket_free(&b->tickets, k);
	return true;
}

void broker_lock(struct broker *b, struct ticket *k, const struct locktable_wish *wish)
{
	struct locktable_change change = {.outcome = LOCKTABLE_FULL};

	if (!persist_reserve(b) ||
	    locktable_lock(b->table, wish, k->asked, &change) > LOCKTABLE_QUEUED) {
		if (!is_asked_again(b, k, &change))
			lock_refused(b, k, &change);
		return;
	}
	k->id = change.request;
	k->under = change.under;
	token_draw(&b->tokens, k->token);
	ticket_file(&b->tickets, k);
	k->caller->usage->requests++;
	kept_remove(b, k->terminal);
	persist_asked(b, k, wish->task.name);
	persist_left(b, k, &change);
	if (change.outcome == LOCKTABLE_GRANTED) {
		granted(b, k, &change.grant);
		SYNC_POINT("broker.granted");
		return;
	}
	tell_log(k, LOG_KIND_QUEUED, NULL, NULL);
	tell_not_granted(
	    b, k, ttylock_State_STATE_QUEUED, ttylock_Code_ERROR_NONE, &change, OUTLET_REPLY);
	tell_watchers(b, ttylock_EventKind_EVENT_QUEUED, k, change.position, NULL);
	SYNC_POINT("broker.queued");
}

static void tell_end(struct broker *b, const struct ticket *k, enum broker_cause cause,
    const struct caller *by, bool held)
{
	switch (cause) {
	case BROKER_ABSENT:
		tell_log(k, LOG_KIND_WAITER_ABSENT, NULL, NULL);
		tell_watchers(b, ttylock_EventKind_EVENT_DIED, k, 0, NULL);
		break;
	case BROKER_DIED:
		tell_log(k, held ? LOG_KIND_HOLDER_DIED : LOG_KIND_WAITER_DIED, NULL, NULL);
		tell_watchers(b, ttylock_EventKind_EVENT_DIED, k, 0, NULL);
		break;
	case BROKER_FORCED:
		tell_ended(
		    b, k, held ? ttylock_State_STATE_RELEASED : ttylock_State_STATE_CANCELLED, by);
		/* fall through */
	case BROKER_OWN:
	case BROKER_UNUSED:
		tell_log(k,
		    !held	 ? LOG_KIND_CANCELLED
		    : by != NULL ? LOG_KIND_FORCED
				 : LOG_KIND_RELEASED,
		    by, NULL);
		tell_watchers(b,
		    held ? ttylock_EventKind_EVENT_RELEASED : ttylock_EventKind_EVENT_CANCELLED, k,
		    0, by);
		break;
	}
}

/* What a change that ended a request means for everybody but its owner. */
static void ended(struct broker *b, struct ticket *k, enum broker_cause cause,
    const struct caller *by, const struct locktable_change *change)
{
	bool held = change->outcome == LOCKTABLE_RELEASED;

	persist_left(b, k, change);
	persist_ended(b, k);
	if (!b->frozen)
		tell_end(b, k, cause, by, held);
	if (change->kept)
		kept_add(b, k->terminal);
	k->caller->usage->requests--;
	k->caller->holds -= held;
	struct idle_wait *kept_waiting = k->idle;
	k->idle = NULL;
	ticket_free(&b->tickets, k);

	if (change->grant.request) {
		SYNC_POINT("broker.ended-not-granted");
		struct ticket *next = tickets_by_id(&b->tickets, change->grant.request);

		assert(next);
		granted(b, next, &change->grant);
	}
	/* Only now: whoever follows is in the table. */
	idle_resume(b, kept_waiting);
}

/* Takes waiters that are dead, though we have not been told yet, out of the way
 * of the grant that the end of this hold will bring: only the process itself
 * knows that it lives. */
static void settle_next(struct broker *b, uint64_t hold)
{
	struct locktable_change change;
	uint64_t id;

	while ((id = locktable_successor(b->table, hold)) != 0) {
		struct ticket *k = tickets_by_id(&b->tickets, id);

		assert(k);
		if (!k->caller->gone && cred_alive(&k->caller->cred))
			return;
		locktable_release(b->table, id, LOCKTABLE_CLEAN, &change);
		ended(b, k, BROKER_DIED, NULL, &change);
	}
}

void broker_end(
    struct broker *b, struct ticket *k, enum broker_cause cause, const struct caller *by)
{
	struct locktable_view view;
	struct locktable_change change;
	/* The owner of a hold that is forced open has put nothing in order. */
	enum locktable_end end = k->untold || cause == BROKER_UNUSED ? LOCKTABLE_UNTOUCHED
				 : cause == BROKER_OWN		     ? LOCKTABLE_CLEAN
								     : LOCKTABLE_DIRTY;

	if (locktable_find(b->table, k->id, &view) && view.holds) {
		settle_next(b, k->id);
		SYNC_POINT("broker.settled-not-released");
	}
	locktable_release(b->table, k->id, end, &change);
	ended(b, k, cause, by, &change);
}

enum locktable_outcome broker_serve_first(struct broker *b, struct ticket *k, uint32_t *position)
{
	struct locktable_change change;

	if (locktable_serve_first(b->table, k->id, &change) != LOCKTABLE_QUEUED)
		return change.outcome;
	*position = change.position;
	persist_moved(b, k);
	tell_not_granted(
	    b, k, ttylock_State_STATE_QUEUED, ttylock_Code_ERROR_NONE, &change, OUTLET_HINT);
	tell_watchers(b, ttylock_EventKind_EVENT_MOVED, k, change.position, NULL);
	return change.outcome;
}

/* --- after a restart --------------------------------------------------- */

void broker_restored(struct broker *b, struct terminal *t)
{
	struct locktable_change change;
	struct locktable_left left;

	if (locktable_serve(b->table, t->id, &change)) {
		granted(b, tickets_by_id(&b->tickets, change.grant.request), &change.grant);
		return;
	}
	locktable_get_left(b->table, t->id, 0, &left);
	if (left.dirty && t->refs == 1)
		kept_add(b, t);
}

/* --- callers ----------------------------------------------------------- */

/* Waits first: then nothing of the caller's own is granted on the way. */
static void drop_requests(struct broker *b, struct caller *c)
{
	struct locktable_change change;
	struct locktable_view view;
	uint64_t id;

	while ((id = locktable_owned(b->table, c->id)) != 0) {
		struct ticket *k = tickets_by_id(&b->tickets, id);

		assert(k);
		if (locktable_find(b->table, id, &view) && view.holds) {
			settle_next(b, id);
			SYNC_POINT("broker.settled-not-dropped");
		}
		locktable_release(
		    b->table, id, k->untold ? LOCKTABLE_UNTOUCHED : LOCKTABLE_DIRTY, &change);
		ended(b, k, BROKER_DIED, NULL, &change);
	}
}

void broker_caller_gone(struct broker *b, struct caller *c)
{
	c->gone = true;
	watch_end(b, c);
	idle_caller_gone(c);
	lineage_unref(c->lineage);
	c->lineage = NULL;
	drop_requests(b, c);
	caller_forget_terminals(c);
	proof_free(c->proof);
	c->proof = NULL;
	c->proof_pending = false;
}
