#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "idle.h"
#include "log.h"
#include "policy.h"
#include "sync_point.h"

/* Dirty terminals with nobody there that are remembered at a time. */
#define KEPT_MAX 256

uint64_t broker_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int broker_init(
    struct broker *b, const struct broker_ops *ops, uint32_t requests_max, uint32_t terminals_max)
{
	uint64_t seed = 0;

	/* Before the pool is ready (early boot) keys can be guessed: slow, not wrong. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = broker_now();
	*b = (struct broker){
	    .ops = ops,
	    .requests_max = requests_max,
	    .terminals_max = terminals_max,
	    .started = broker_now(),
	};
	b->table = locktable_new(requests_max, terminals_max, seed);
	if (!b->table)
		return -ENOMEM;
	tickets_init(&b->tickets, requests_max, seed);
	terminals_init(&b->terminals);
	return 0;
}

void broker_deinit(struct broker *b)
{
	terminals_deinit(&b->terminals);
	tickets_deinit(&b->tickets);
	locktable_free(b->table);
}

/* --- what people are told ---------------------------------------------- */

static enum policy_verdict about(enum policy_operation op, const struct ticket *k, uid_t uid)
{
	struct policy_case pc = {
	    .uid = uid,
	    .request_uid = k->caller->cred.uid,
	    .terminal_uid = terminal_owner(k->terminal),
	};

	return policy_decide(op, &pc);
}

bool broker_may_see(const struct ticket *k, const struct caller *c)
{
	return about(POLICY_SEE, k, c->cred.uid) == POLICY_ALLOW;
}

bool broker_may_steer(const struct ticket *k, const struct caller *c)
{
	return about(POLICY_STEER, k, c->cred.uid) == POLICY_ALLOW;
}

static bool is_credible(const struct ticket *k, const struct caller *c)
{
	return k->caller->cred.uid == 0 || broker_may_see(k, c);
}

bool broker_concerns(const struct ticket *k, const struct caller *c, pid_t pid)
{
	return lineage_has(k->lineage, pid) && is_credible(k, c);
}

bool broker_is_of_tree(const struct ticket *k, const struct caller *c)
{
	return k->caller->tree == c->tree && is_credible(k, c);
}

/* Both of one size: the receiver's array is never smaller than ours. */
#define COPY_STRING(dst, src)                                                                      \
	do {                                                                                       \
		_Static_assert(sizeof(dst) >= sizeof(src), "would be cut");                        \
		memcpy(dst, src, sizeof(src));                                                     \
	} while (0)

void broker_entry(const struct broker *b, const struct ticket *k, const struct caller *viewer,
    uint32_t position, ttylock_Entry *e)
{
	(void)b;
	*e = (ttylock_Entry)ttylock_Entry_init_zero;
	COPY_STRING(e->terminal, k->terminal->proof.path);
	e->position = position;
	if (!broker_may_see(k, viewer)) {
		e->hidden = true;
		return;
	}
	e->id = k->id;
	e->pid = k->caller->cred.pid;
	e->uid = k->caller->cred.uid;
	COPY_STRING(e->comm, k->caller->cred.comm);
	e->has_task = true;
	COPY_STRING(e->task.name, k->task_name);
	e->task.id = k->task_id;
	e->reason = (ttylock_Reason)k->reason;
	COPY_STRING(e->text, k->text);
	e->subject_pid = k->subject_pid;
	COPY_STRING(e->subject_comm, k->subject_comm);
	e->age_ms = broker_now() - k->asked;
	e->tree = k->caller->tree;
	e->under = k->under;
}

static void name_caller(const struct caller *c, char *out, size_t size)
{
	snprintf(out, size, "%s (pid %d), uid %u", c->cred.comm, (int)c->cred.pid,
	    (unsigned)c->cred.uid);
}

void broker_log(
    const struct ticket *k, enum log_kind kind, const struct caller *by, const char *note)
{
	char nested[96];

	if (k->under) {
		snprintf(nested, sizeof(nested), "under request %llu%s%s",
		    (unsigned long long)k->under, note ? ": " : "", note ? note : "");
		note = nested;
	}
	struct log_event e = {
	    .kind = kind,
	    .terminal = k->terminal->proof.path,
	    .request = k->id,
	    .who = &k->caller->cred,
	    .by = by ? &by->cred : NULL,
	    .note = note,
	};

	log_event(&e);
}

/* by: who has ended it, if somebody else than its owner did; NULL. */
static void tell_watchers(struct broker *b, ttylock_EventKind kind, const struct ticket *k,
    uint32_t position, const struct caller *by)
{
	for (struct caller *w = b->watchers; w; w = w->watch_next) {
		ttylock_Envelope e = {.which_body = ttylock_Envelope_event_tag};

		e.body.event.kind = kind;
		e.body.event.has_entry = true;
		broker_entry(b, k, w, position, &e.body.event.entry);
		if (by && !e.body.event.entry.hidden)
			name_caller(by, e.body.event.by, sizeof(e.body.event.by));
		b->ops->send(w, &e, BROKER_EVENT);
	}
}

static void tell_granted(struct broker *b, struct ticket *k, const struct locktable_grant *g)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};
	ttylock_LockStatus *s = &e.body.lock_status;
	uint8_t token[TICKET_TOKEN] = {0};

	if (getrandom(token, sizeof(token), 0) != sizeof(token)) {
		log_warn("getrandom");
		memset(token, 0, sizeof(token)); /* proves nothing, and harms nobody */
	}
	ticket_grant(&b->tickets, k, token);
	s->request = k->number;
	s->id = k->id;
	s->state = ttylock_State_STATE_GRANTED;
	s->waiters = g->waiters;
	s->token.size = sizeof(k->token);
	memcpy(s->token.bytes, k->token, sizeof(k->token));
	COPY_STRING(s->terminal, k->terminal->proof.path);
	s->dirty = g->dirty;
	s->saved.size = (pb_size_t)g->saved_size;
	memcpy(s->saved.bytes, g->saved, g->saved_size);
	broker_log(k, LOG_KIND_GRANTED, NULL, g->dirty ? "the last holder did not release" : NULL);
	b->ops->send(k->caller, &e, BROKER_REPLY);
	tell_watchers(b, ttylock_EventKind_EVENT_GRANTED, k, 0, NULL);
}

/* Queued, or refused as busy or as a deadlock: with who holds it. */
static void tell_not_granted(struct broker *b, const struct ticket *k, ttylock_State state,
    ttylock_Code code, const struct locktable_change *change, enum broker_urgency urgency)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};
	ttylock_LockStatus *s = &e.body.lock_status;
	const struct ticket *holder = tickets_by_id(&b->tickets, change->holder);

	s->request = k->number;
	s->id = k->id;
	s->state = state;
	s->code = code;
	s->position = change->position;
	s->waiters = change->waiters;
	if (holder) {
		s->has_holder = true;
		broker_entry(b, holder, k->caller, 0, &s->holder);
	}
	b->ops->send(k->caller, &e, urgency);
}

static void tell_ended(
    struct broker *b, const struct ticket *k, ttylock_State state, const struct caller *by)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};

	e.body.lock_status.request = k->number;
	e.body.lock_status.id = k->id;
	e.body.lock_status.state = state;
	name_caller(by, e.body.lock_status.by, sizeof(e.body.lock_status.by));
	b->ops->send(k->caller, &e, BROKER_REPLY);
}

void broker_error(
    const struct broker *b, struct caller *c, ttylock_Code code, uint64_t ref, const char *text)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_error_tag};

	e.body.error.code = code;
	e.body.error.ref = ref;
	snprintf(e.body.error.text, sizeof(e.body.error.text), "%s", text);
	b->ops->send(c, &e, BROKER_REPLY);
}

/* --- terminals --------------------------------------------------------- */

/* The lock table remembers a dirty terminal: so must we. */
static void keep(struct broker *b, struct terminal *t)
{
	if (t->kept)
		return;
	t->kept = true;
	b->kept++;
	terminal_ref(t);
}

static void unkeep(struct broker *b, struct terminal *t)
{
	if (!t->kept)
		return;
	t->kept = false;
	b->kept--;
	terminal_unref(t);
}

/* Forgets the dirty terminals that are dead, and the one kept longest if there
 * are too many. New ones are put first, so that is the last in the list. */
static void kept_sweep(struct broker *b)
{
	struct terminal *next, *oldest = NULL;

	if (b->kept == 0)
		return;
	for (struct terminal *t = b->terminals.first; t; t = next) {
		next = t->next;
		if (!t->kept)
			continue;
		if (terminal_alive(t)) {
			oldest = t;
			continue;
		}
		locktable_forget(b->table, t->id);
		unkeep(b, t);
	}
	if (b->kept >= KEPT_MAX && oldest) {
		locktable_forget(b->table, oldest->id);
		unkeep(b, oldest);
	}
}

struct terminal *broker_terminal(struct broker *b, struct caller *c, struct proof *p)
{
	struct terminal *t = terminals_find(&b->terminals, p);

	if (t) {
		proof_close(p);
		return terminal_ref(t);
	}
	kept_sweep(b);
	struct policy_case pc = {
	    .uid = c->cred.uid,
	    .mine = c->usage->terminals,
	    .others = b->terminals.count - c->usage->terminals,
	    .total = b->terminals_max,
	};
	if (policy_decide(POLICY_TERMINAL, &pc) == POLICY_ALLOW)
		t = terminals_add(&b->terminals, p, c->usage);
	proof_close(p);
	return t;
}

/* --- requests ---------------------------------------------------------- */

static void lock_refused(struct broker *b, struct ticket *k, const struct locktable_change *change)
{
	ttylock_Code code = change->outcome == LOCKTABLE_BUSY	    ? ttylock_Code_ERROR_BUSY
			    : change->outcome == LOCKTABLE_DEADLOCK ? ttylock_Code_ERROR_DEADLOCK
								    : ttylock_Code_ERROR_QUOTA;

	if (change->outcome == LOCKTABLE_BUSY)
		broker_log(k, LOG_KIND_REFUSED, NULL, "busy");
	else if (change->outcome != LOCKTABLE_DEADLOCK)
		broker_log(k, LOG_KIND_QUOTA, NULL, "the table is full");
	else if (change->first)
		broker_log(k, LOG_KIND_REFUSED, NULL, "this task has asked already");
	else
		broker_log(k, LOG_KIND_DEADLOCK, NULL, NULL);
	tell_not_granted(b, k, ttylock_State_STATE_REFUSED, code, change, BROKER_REPLY);
	ticket_free(&b->tickets, k);
}

void broker_lock(struct broker *b, struct ticket *k, const struct locktable_wish *wish)
{
	struct locktable_change change;

	if (locktable_lock(b->table, wish, k->asked, &change) > LOCKTABLE_QUEUED) {
		lock_refused(b, k, &change);
		return;
	}
	k->id = change.request;
	k->under = change.under;
	ticket_file(&b->tickets, k);
	k->caller->usage->requests++;
	unkeep(b, k->terminal);
	if (change.outcome == LOCKTABLE_GRANTED) {
		tell_granted(b, k, &change.grant);
		SYNC_POINT("broker.granted");
		return;
	}
	broker_log(k, LOG_KIND_QUEUED, NULL, NULL);
	tell_not_granted(
	    b, k, ttylock_State_STATE_QUEUED, ttylock_Code_ERROR_NONE, &change, BROKER_REPLY);
	tell_watchers(b, ttylock_EventKind_EVENT_QUEUED, k, change.position, NULL);
	SYNC_POINT("broker.queued");
}

/* What a change that ended a request means for everybody but its owner. */
static void ended(struct broker *b, struct ticket *k, enum broker_cause cause,
    const struct caller *by, const struct locktable_change *change)
{
	bool held = change->outcome == LOCKTABLE_RELEASED;

	switch (cause) {
	case BROKER_DIED:
		broker_log(k, held ? LOG_KIND_HOLDER_DIED : LOG_KIND_WAITER_DIED, NULL, NULL);
		tell_watchers(b, ttylock_EventKind_EVENT_DIED, k, 0, NULL);
		break;
	case BROKER_FORCED:
		tell_ended(
		    b, k, held ? ttylock_State_STATE_RELEASED : ttylock_State_STATE_CANCELLED, by);
		/* fall through */
	case BROKER_OWN:
		broker_log(k,
		    !held	 ? LOG_KIND_CANCELLED
		    : by != NULL ? LOG_KIND_FORCED
				 : LOG_KIND_RELEASED,
		    by, NULL);
		tell_watchers(b,
		    held ? ttylock_EventKind_EVENT_RELEASED : ttylock_EventKind_EVENT_CANCELLED, k,
		    0, by);
		break;
	}
	if (change->kept)
		keep(b, k->terminal);
	k->caller->usage->requests--;
	k->caller->holds -= held;
	struct idle_wait *kept_waiting = k->idle;
	k->idle = NULL;
	ticket_free(&b->tickets, k);

	if (change->grant.request) {
		SYNC_POINT("broker.ended-not-granted");
		struct ticket *next = tickets_by_id(&b->tickets, change->grant.request);

		assert(next);
		tell_granted(b, next, &change->grant);
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
	enum locktable_end end = cause == BROKER_OWN ? LOCKTABLE_CLEAN : LOCKTABLE_DIRTY;

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
	tell_not_granted(
	    b, k, ttylock_State_STATE_QUEUED, ttylock_Code_ERROR_NONE, &change, BROKER_HINT);
	tell_watchers(b, ttylock_EventKind_EVENT_MOVED, k, change.position, NULL);
	return change.outcome;
}

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
		locktable_drop_owner(b->table, c->id, &change);
		assert(change.request == id);
		ended(b, k, BROKER_DIED, NULL, &change);
	}
}

int broker_watch(struct broker *b, struct caller *c)
{
	struct policy_case pc = {
	    .uid = c->cred.uid,
	    .mine = c->usage->watchers,
	    .others = b->watching - c->usage->watchers,
	    .total = POLICY_WATCHERS_MAX,
	};

	if (c->watching)
		return 0;
	if (policy_decide(POLICY_WATCH, &pc) != POLICY_ALLOW)
		return -EDQUOT;
	c->watching = true;
	c->usage->watchers++;
	b->watching++;
	c->watch_prev = NULL;
	c->watch_next = b->watchers;
	if (c->watch_next)
		c->watch_next->watch_prev = c;
	b->watchers = c;
	return 0;
}

static void unwatch(struct broker *b, struct caller *c)
{
	if (!c->watching)
		return;
	c->watching = false;
	c->usage->watchers--;
	b->watching--;
	if (c->watch_next)
		c->watch_next->watch_prev = c->watch_prev;
	if (c->watch_prev)
		c->watch_prev->watch_next = c->watch_next;
	else
		b->watchers = c->watch_next;
}

void broker_caller_gone(struct broker *b, struct caller *c)
{
	c->gone = true;
	unwatch(b, c);
	idle_caller_gone(c);
	lineage_unref(c->lineage);
	c->lineage = NULL;
	drop_requests(b, c);
	for (int i = 0; i < CALLER_TERMINALS; i++) {
		terminal_unref(c->terminals[i]);
		c->terminals[i] = NULL;
	}
	if (c->proof_pending && c->proof_error == 0)
		proof_close(&c->proof);
	c->proof_pending = false;
}
