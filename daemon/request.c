#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "idle.h"
#include "lineage.h"
#include "log.h"
#include "persist.h"
#include "policy.h"
#include "refusal.h"
#include "text.h"

static int hello(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	ttylock_Envelope answer = {.which_body = ttylock_Envelope_welcome_tag};

	if (e->body.hello.version != REQUEST_PROTOCOL_VERSION) {
		char text[64];

		snprintf(text, sizeof(text), "this daemon speaks protocol version %d only",
		    REQUEST_PROTOCOL_VERSION);
		refusal_log(c, text);
		broker_error(b, c, ttylock_Code_ERROR_VERSION, 0, text);
		return -EPROTO;
	}
	c->greeted = true;
	c->tree = e->body.hello.tree;
	answer.body.welcome.version = REQUEST_PROTOCOL_VERSION;
	answer.body.welcome.daemon_pid = getpid();
	answer.body.welcome.uptime_ms = clock_ms() - b->started;
	b->ops->send(c, &answer, BROKER_REPLY);
	return 0;
}

static const char *proof_text(int error)
{
	switch (error) {
	case -ENOTTY:
		return "not a terminal";
	case -EACCES:
		return "not a terminal's own end, open for reading and writing";
	case -EIO:
		return "the terminal is dead";
	default:
		return "the terminal cannot be examined";
	}
}

/* p: NULL: why is in c's proof_error. */
static void terminal_number(struct broker *b, struct caller *c, uint32_t n, struct proof *p)
{
	/* The frame may come long after its descriptor: another terminal can have
	 * that one's number by now. */
	if (p && !proof_holds(p))
		c->proof_error = -EIO;
	if (n >= CALLER_TERMINALS) {
		broker_error(b, c, ttylock_Code_ERROR_INVALID, 0, "terminal: out of range");
		return;
	}
	/* Whatever comes of it, the number no longer means the old one. */
	caller_set_terminal(c, n, NULL);
	if (c->proof_error) {
		refusal_log(c, proof_text(c->proof_error));
		broker_error(b, c, ttylock_Code_ERROR_TERMINAL, 0, proof_text(c->proof_error));
		return;
	}
	struct terminal *t = broker_terminal(b, c, p);
	if (t && caller_set_terminal(c, n, t)) {
		log_debug("pid %d: terminal %u is %s", (int)c->cred.pid, n, t->proof.path);
	} else {
		refusal_quota(c, "terminals");
		broker_error(b, c, ttylock_Code_ERROR_QUOTA, 0, "too many terminals");
	}
}

static int terminal_open(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	if (!c->proof_pending)
		return -EPROTO;
	terminal_number(b, c, e->body.terminal_open.terminal, c->proof);
	proof_free(c->proof);
	c->proof = NULL;
	c->proof_pending = false;
	return 0;
}

static void refuse(struct broker *b, struct caller *c, uint64_t number, ttylock_Code code)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};

	if (code == ttylock_Code_ERROR_QUOTA)
		refusal_quota(c, "requests");
	else
		refusal_code(c, code);
	e.body.lock_status.request = number;
	e.body.lock_status.state = ttylock_State_STATE_REFUSED;
	e.body.lock_status.code = code;
	b->ops->send(c, &e, BROKER_REPLY);
}

static ttylock_Code lock_check(
    const struct broker *b, const struct caller *c, const ttylock_LockRequest *r, uint64_t now)
{
	if (r->reason < _ttylock_Reason_MIN || r->reason > _ttylock_Reason_MAX ||
	    r->subject_pid < 0 || r->terminal >= CALLER_TERMINALS)
		return ttylock_Code_ERROR_INVALID;
	struct terminal *t = caller_terminal(c, r->terminal);
	if (!t || !terminal_alive_at(t, now))
		return ttylock_Code_ERROR_TERMINAL;

	struct policy_case pc = {
	    .uid = c->cred.uid,
	    .mine = c->usage->requests,
	    .others = locktable_requests(b->table) - c->usage->requests,
	    .total = b->requests_max,
	};
	switch (policy_decide(POLICY_LOCK, &pc)) {
	case POLICY_ALLOW:
		return ttylock_Code_ERROR_NONE;
	case POLICY_DENY:
		return ttylock_Code_ERROR_DENIED;
	case POLICY_QUOTA:
		break;
	}
	return ttylock_Code_ERROR_QUOTA;
}

/* The request of which the client has the token; 0: none. */
static uint64_t under_of(const struct broker *b, const ttylock_LockRequest *r)
{
	const struct ticket *k =
	    r->under.size == TOKEN_SIZE ? tickets_by_token(&b->tickets, r->under.bytes) : NULL;

	return k ? k->id : 0;
}

/* A reference; NULL: out of memory. */
static struct lineage *lineage_of(struct caller *c, pid_t subject)
{
	if (subject != c->cred.pid)
		return lineage_read(subject);
	if (!c->lineage)
		c->lineage = lineage_read(subject);
	return c->lineage ? lineage_ref(c->lineage) : NULL;
}

static struct ticket *ticket_of(
    struct broker *b, struct caller *c, const ttylock_LockRequest *r, uint64_t now)
{
	pid_t subject = r->subject_pid ? r->subject_pid : c->cred.pid;
	struct ticket_texts texts;

	text_clean(texts.task_name, sizeof(texts.task_name), r->task.name, sizeof(r->task.name));
	text_clean(texts.text, sizeof(texts.text), r->text, sizeof(r->text));
	if (subject == c->cred.pid)
		memcpy(texts.subject_comm, c->cred.comm, sizeof(texts.subject_comm));
	else
		cred_comm(subject, texts.subject_comm, sizeof(texts.subject_comm));
	struct ticket *k = ticket_new(&b->tickets, &texts);
	if (!k)
		return NULL;
	k->lineage = lineage_of(c, subject);
	if (!k->lineage) {
		ticket_free(&b->tickets, k);
		return NULL;
	}

	k->number = r->request;
	k->caller = c;
	k->terminal = terminal_ref(caller_terminal(c, r->terminal));
	k->reason = (int)r->reason;
	k->task_id = r->task.id;
	k->subject_pid = subject;
	k->asked = now;
	return k;
}

static int lock_request(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	const ttylock_LockRequest *r = &e->body.lock_request;
	uint64_t now = clock_ms();

	/* A LockStatus of such a number would speak of another request. */
	if (r->request == 0 || tickets_by_number(&b->tickets, c, r->request)) {
		broker_error(
		    b, c, ttylock_Code_ERROR_INVALID, r->request, "request: 0, or in use already");
		return 0;
	}
	if (r->reclaim.size == TOKEN_SIZE) {
		broker_reclaim(b, c, r->request, r->reclaim.bytes);
		return 0;
	}
	ttylock_Code code = lock_check(b, c, r, now);
	struct ticket *k = code ? NULL : ticket_of(b, c, r, now);
	if (!k) {
		refuse(b, c, r->request, code ? code : ttylock_Code_ERROR_QUOTA);
		return 0;
	}

	struct locktable_wish wish = {
	    .owner = c->id,
	    .process = c->cred.process,
	    .terminal = k->terminal->id,
	    .task = {.id = r->task.id},
	    .under = under_of(b, r),
	    .nonblock = r->nonblock,
	};
	_Static_assert(sizeof(wish.task.name) == sizeof(r->task.name), "task names differ");
	memcpy(wish.task.name, r->task.name, sizeof(wish.task.name));
	broker_lock(b, k, &wish);
	return 0;
}

static int lock_release(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	struct ticket *k = tickets_by_number(&b->tickets, c, e->body.lock_release.request);

	if (k)
		broker_end(b, k, BROKER_OWN, NULL);
	return 0;
}

/* Answers for a request that c wants to steer by the daemon's number: the
 * ticket, or NULL after an Error. */
static struct ticket *steered(struct broker *b, struct caller *c, uint64_t id, bool want_holder)
{
	struct ticket *k = tickets_by_id(&b->tickets, id);
	struct locktable_view view;

	if (!k) {
		broker_error(b, c, ttylock_Code_ERROR_NOT_FOUND, id, "no such request");
		return NULL;
	}
	if (!broker_may_steer(k, c)) {
		if (refusal_tell(c->usage))
			broker_log(k, LOG_KIND_DENIED, c, NULL);
		broker_error(
		    b, c, ttylock_Code_ERROR_DENIED, id, "not your request, nor your terminal");
		return NULL;
	}
	locktable_find(b->table, id, &view);
	if (view.holds != want_holder) {
		broker_error(b, c, ttylock_Code_ERROR_INVALID, id,
		    want_holder ? "it does not hold the terminal: cancel it"
				: "it holds the terminal: force its release");
		return NULL;
	}
	return k;
}

static int steer(struct broker *b, struct caller *c, uint64_t id, bool want_holder)
{
	ttylock_Envelope answer = {.which_body = ttylock_Envelope_lock_status_tag};
	struct ticket *k = steered(b, c, id, want_holder);

	if (!k)
		return 0;
	broker_end(b, k, BROKER_FORCED, c);
	answer.body.lock_status.id = id;
	answer.body.lock_status.state =
	    want_holder ? ttylock_State_STATE_RELEASED : ttylock_State_STATE_CANCELLED;
	b->ops->send(c, &answer, BROKER_REPLY);
	return 0;
}

static int lock_cancel(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	const ttylock_LockCancel *m = &e->body.lock_cancel;

	if (m->request == 0)
		return steer(b, c, m->id, false);

	struct ticket *k = tickets_by_number(&b->tickets, c, m->request);
	if (k)
		broker_end(b, k, BROKER_UNUSED, NULL);
	return 0;
}

static int force_release(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	return steer(b, c, e->body.force_release.id, true);
}

static int serve_first(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	ttylock_Envelope answer = {.which_body = ttylock_Envelope_lock_status_tag};
	ttylock_LockStatus *s = &answer.body.lock_status;
	struct ticket *k = steered(b, c, e->body.serve_first.id, false);

	if (!k)
		return 0;
	s->id = k->id;
	s->state = ttylock_State_STATE_QUEUED;
	if (broker_serve_first(b, k, &s->position) != LOCKTABLE_QUEUED) {
		broker_error(b, c, ttylock_Code_ERROR_DEADLOCK, k->id,
		    "one that it would overtake would wait for ever");
		return 0;
	}
	broker_log(k, LOG_KIND_SERVED_FIRST, c, NULL);
	b->ops->send(c, &answer, BROKER_REPLY);
	return 0;
}

static int terminal_state(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	const ttylock_TerminalState *m = &e->body.terminal_state;
	const struct ticket *k = tickets_by_number(&b->tickets, c, m->request);

	if (k && locktable_save(b->table, k->id, m->saved.bytes, m->saved.size))
		persist_saved(b, k, m->saved.bytes, m->saved.size);
	return 0;
}

#define UNREAD "its user lets too much lie unread"

/* All at once, so that it is of one moment; the outbox takes any size of it. */
static int status_query(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	ttylock_Envelope answer = {.which_body = ttylock_Envelope_status_report_tag};
	ttylock_StatusReport *report = &answer.body.status_report;
	struct locktable_cursor cursor = {0};
	struct locktable_view view;
	pid_t below = e->body.status_query.below;

	report->query = e->body.status_query.query;
	if (below < 0) {
		broker_error(b, c, ttylock_Code_ERROR_INVALID, report->query, "below: no pid");
		return 0;
	}
	if (usage_may_queue(c->usage) != POLICY_ALLOW) {
		refusal_quota(c, "bytes that lie unread");
		broker_error(b, c, ttylock_Code_ERROR_QUOTA, report->query, UNREAD);
		return 0;
	}
	report->has_entry = true;
	while (!c->gone && locktable_next(b->table, &cursor, &view)) {
		const struct ticket *k = tickets_by_id(&b->tickets, view.request);

		if (below && !broker_concerns(k, c, below))
			continue;
		broker_entry(b, k, c, view.position, &report->entry);
		b->ops->send(c, &answer, BROKER_BULK);
	}
	report->has_entry = false;
	report->last = true;
	b->ops->send(c, &answer, BROKER_BULK);
	return 0;
}

static int wait_idle(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	const ttylock_WaitIdle *m = &e->body.wait_idle;

	if (m->below < 0 || (m->below == 0 && c->tree == 0)) {
		broker_error(b, c, ttylock_Code_ERROR_INVALID, m->query,
		    m->below ? "below: no pid" : "below: no pid, and the client is of no tree");
	} else if (idle_await(b, c, m->query, m->below) < 0) {
		refusal_quota(c, "waits until nobody holds");
		broker_error(b, c, ttylock_Code_ERROR_QUOTA, m->query, "too many waits");
	}
	return 0;
}

static int watch(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	(void)e;
	if (broker_watch(b, c) < 0) {
		refusal_quota(c, "watchers");
		broker_error(b, c, ttylock_Code_ERROR_QUOTA, 0, "too many watchers");
	}
	return 0;
}

/* --- dispatch ---------------------------------------------------------- */

enum needs {
	NEEDS_HELLO_YET = 1, /* Hello has not been said */
	NEEDS_GREETED,
};

/* posthumous: still counts when its sender has died since it said so. */
static const struct row {
	pb_size_t tag;
	enum needs needs;
	bool posthumous;
	int (*handle)(struct broker *b, struct caller *c, const ttylock_Envelope *e);
} rows[] = {
    {ttylock_Envelope_hello_tag, NEEDS_HELLO_YET, false, hello},
    {ttylock_Envelope_terminal_open_tag, NEEDS_GREETED, false, terminal_open},
    {ttylock_Envelope_lock_request_tag, NEEDS_GREETED, false, lock_request},
    {ttylock_Envelope_lock_release_tag, NEEDS_GREETED, true, lock_release},
    {ttylock_Envelope_lock_cancel_tag, NEEDS_GREETED, true, lock_cancel},
    {ttylock_Envelope_terminal_state_tag, NEEDS_GREETED, true, terminal_state},
    {ttylock_Envelope_status_query_tag, NEEDS_GREETED, false, status_query},
    {ttylock_Envelope_wait_idle_tag, NEEDS_GREETED, false, wait_idle},
    {ttylock_Envelope_watch_tag, NEEDS_GREETED, false, watch},
    {ttylock_Envelope_force_release_tag, NEEDS_GREETED, false, force_release},
    {ttylock_Envelope_serve_first_tag, NEEDS_GREETED, false, serve_first},
};

int request_handle(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];

		if (row->tag != e->which_body)
			continue;
		if ((row->needs == NEEDS_GREETED) != c->greeted)
			return -EPROTO;
		if (c->dying && !row->posthumous)
			return 0;
		return row->handle(b, c, e);
	}
	return -EPROTO;
}

uint32_t request_cost(const struct broker *b, const ttylock_Envelope *e)
{
	switch (e->which_body) {
	case ttylock_Envelope_status_query_tag:
	case ttylock_Envelope_wait_idle_tag: /* these look at all requests */
		return 1 + locktable_requests(b->table) / POLICY_COST_ENTRIES;
	default:
		return 1;
	}
}
