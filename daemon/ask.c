#include "ask.h"

#include <string.h>

#include "broker.h"
#include "clock.h"
#include "lineage.h"
#include "policy.h"
#include "reclaim.h"
#include "refusal.h"
#include "tell.h"
#include "text.h"

static void refuse(struct broker *b, struct caller *c, uint64_t number, ttylock_Code code)
{
	if (code == ttylock_Code_ERROR_QUOTA)
		refusal_quota(c, "requests");
	else
		refusal_code(c, code);
	tell_refused(b, c, number, code);
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

void ask(struct broker *b, struct caller *c, const ttylock_LockRequest *r)
{
	uint64_t now = clock_ms();

	/* A LockStatus of such a number would speak of another request. */
	if (r->request == 0 || tickets_by_number(&b->tickets, c, r->request)) {
		tell_error(
		    b, c, ttylock_Code_ERROR_INVALID, r->request, "request: 0, or in use already");
		return;
	}
	if (r->reclaim.size == TOKEN_SIZE) {
		reclaim_by_token(b, c, r->request, r->reclaim.bytes);
		return;
	}
	ttylock_Code code = lock_check(b, c, r, now);
	struct ticket *k = code ? NULL : ticket_of(b, c, r, now);
	if (!k) {
		refuse(b, c, r->request, code ? code : ttylock_Code_ERROR_QUOTA);
		return;
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
}
