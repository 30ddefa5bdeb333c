#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "ask.h"
#include "clock.h"
#include "idle.h"
#include "kept.h"
#include "log.h"
#include "persist.h"
#include "policy.h"
#include "refusal.h"
#include "steer.h"
#include "tell.h"
#include "watch.h"

static int hello(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	ttylock_Envelope answer = {.which_body = ttylock_Envelope_welcome_tag};

	if (e->body.hello.version != REQUEST_PROTOCOL_VERSION) {
		char text[64];

		snprintf(text, sizeof(text), "this daemon speaks protocol version %d only",
		    REQUEST_PROTOCOL_VERSION);
		refusal_log(c, text);
		tell_error(b, c, ttylock_Code_ERROR_VERSION, 0, text);
		return -EPROTO;
	}
	c->greeted = true;
	c->tree = e->body.hello.tree;
	answer.body.welcome.version = REQUEST_PROTOCOL_VERSION;
	answer.body.welcome.daemon_pid = getpid();
	answer.body.welcome.uptime_ms = clock_ms() - b->started;
	b->ops->send(c, &answer, OUTLET_REPLY);
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
		tell_error(b, c, ttylock_Code_ERROR_INVALID, 0, "terminal: out of range");
		return;
	}
	/* Whatever comes of it, the number no longer means the old one. */
	caller_set_terminal(c, n, NULL);
	if (c->proof_error) {
		refusal_log(c, proof_text(c->proof_error));
		tell_error(b, c, ttylock_Code_ERROR_TERMINAL, 0, proof_text(c->proof_error));
		return;
	}
	struct terminal *t = kept_terminal(b, c, p);
	if (t && caller_set_terminal(c, n, t)) {
		log_debug("pid %d: terminal %u is %s", (int)c->cred.pid, n, t->proof.path);
	} else {
		refusal_quota(c, "terminals");
		tell_error(b, c, ttylock_Code_ERROR_QUOTA, 0, "too many terminals");
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

static int lock_request(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	ask(b, c, &e->body.lock_request);
	return 0;
}

static int lock_release(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	struct ticket *k = tickets_by_number(&b->tickets, c, e->body.lock_release.request);

	if (k)
		broker_end(b, k, BROKER_OWN, NULL);
	return 0;
}

static int lock_cancel(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	const ttylock_LockCancel *m = &e->body.lock_cancel;

	if (m->request == 0) {
		steer_end(b, c, m->id, false);
		return 0;
	}

	struct ticket *k = tickets_by_number(&b->tickets, c, m->request);
	if (k)
		broker_end(b, k, BROKER_UNUSED, NULL);
	return 0;
}

static int force_release(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	steer_end(b, c, e->body.force_release.id, true);
	return 0;
}

static int serve_first(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	steer_serve_first(b, c, e->body.serve_first.id);
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
		tell_error(b, c, ttylock_Code_ERROR_INVALID, report->query, "below: no pid");
		return 0;
	}
	if (usage_may_queue(c->usage) != POLICY_ALLOW) {
		refusal_quota(c, "bytes that lie unread");
		tell_error(b, c, ttylock_Code_ERROR_QUOTA, report->query, UNREAD);
		return 0;
	}
	report->has_entry = true;
	while (!c->gone && locktable_next(b->table, &cursor, &view)) {
		const struct ticket *k = tickets_by_id(&b->tickets, view.request);

		if (below && !access_concerns(k, c, below))
			continue;
		tell_entry(k, c, view.position, &report->entry);
		b->ops->send(c, &answer, OUTLET_BULK);
	}
	report->has_entry = false;
	report->last = true;
	b->ops->send(c, &answer, OUTLET_BULK);
	return 0;
}

static int wait_idle(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	const ttylock_WaitIdle *m = &e->body.wait_idle;

	if (m->below < 0 || (m->below == 0 && c->tree == 0)) {
		tell_error(b, c, ttylock_Code_ERROR_INVALID, m->query,
		    m->below ? "below: no pid" : "below: no pid, and the client is of no tree");
	} else if (idle_await(b, c, m->query, m->below) < 0) {
		refusal_quota(c, "waits until nobody holds");
		tell_error(b, c, ttylock_Code_ERROR_QUOTA, m->query, "too many waits");
	}
	return 0;
}

static int watch(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	(void)e;
	if (watch_begin(b, c) < 0) {
		refusal_quota(c, "watchers");
		tell_error(b, c, ttylock_Code_ERROR_QUOTA, 0, "too many watchers");
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
