#include "tell.h"

#include <stdio.h>
#include <string.h>

#include "access.h"
#include "clock.h"

/* Both of one size: the receiver's array is never smaller than ours. */
#define COPY_STRING(dst, src)                                                                      \
	do {                                                                                       \
		_Static_assert(sizeof(dst) >= sizeof(src), "would be cut");                        \
		memcpy(dst, src, sizeof(src));                                                     \
	} while (0)

void tell_entry(
    const struct ticket *k, const struct caller *viewer, uint32_t position, ttylock_Entry *e)
{
	*e = (ttylock_Entry)ttylock_Entry_init_zero;
	COPY_STRING(e->terminal, k->terminal->proof.path);
	e->position = position;
	if (!access_may_see(k, viewer)) {
		e->hidden = true;
		return;
	}
	e->id = k->id;
	e->pid = k->caller->cred.pid;
	e->uid = k->caller->cred.uid;
	COPY_STRING(e->comm, k->caller->cred.comm);
	e->has_task = true;
	TICKET_COPY(e->task.name, task_name, k);
	e->task.id = k->task_id;
	e->reason = (ttylock_Reason)k->reason;
	TICKET_COPY(e->text, text, k);
	e->subject_pid = k->subject_pid;
	TICKET_COPY(e->subject_comm, subject_comm, k);
	e->age_ms = clock_ms() - k->asked;
	e->tree = k->caller->tree;
	e->under = k->under;
}

static void name_caller(const struct caller *c, char *out, size_t size)
{
	snprintf(out, size, "%s (pid %d), uid %u", c->cred.comm, (int)c->cred.pid,
	    (unsigned)c->cred.uid);
}

void tell_log(const struct ticket *k, enum log_kind kind, const struct caller *by, const char *note)
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

/* One that has not come back after a restart hears it when it does. */
static void tell_owner(struct broker *b, const struct ticket *k, const ttylock_Envelope *e,
    enum outlet_urgency urgency)
{
	if (!k->caller->absent)
		b->ops->send(k->caller, e, urgency);
}

static void token_fill(ttylock_LockStatus *s, const struct ticket *k)
{
	s->token.size = sizeof(k->token);
	memcpy(s->token.bytes, k->token, sizeof(k->token));
}

void tell_watchers(struct broker *b, ttylock_EventKind kind, const struct ticket *k,
    uint32_t position, const struct caller *by)
{
	for (struct caller *w = b->watchers; w; w = w->watch_next) {
		ttylock_Envelope e = {.which_body = ttylock_Envelope_event_tag};

		e.body.event.kind = kind;
		e.body.event.has_entry = true;
		tell_entry(k, w, position, &e.body.event.entry);
		if (by && !e.body.event.entry.hidden)
			name_caller(by, e.body.event.by, sizeof(e.body.event.by));
		b->ops->send(w, &e, OUTLET_EVENT);
	}
}

void tell_granted(struct broker *b, const struct ticket *k, const struct locktable_grant *g)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};
	ttylock_LockStatus *s = &e.body.lock_status;

	s->request = k->number;
	s->id = k->id;
	s->state = ttylock_State_STATE_GRANTED;
	s->waiters = g->waiters;
	token_fill(s, k);
	COPY_STRING(s->terminal, k->terminal->proof.path);
	s->dirty = g->dirty;
	s->saved.size = (pb_size_t)g->saved_size;
	memcpy(s->saved.bytes, g->saved, g->saved_size);
	tell_owner(b, k, &e, OUTLET_REPLY);
}

void tell_not_granted(struct broker *b, const struct ticket *k, ttylock_State state,
    ttylock_Code code, const struct locktable_change *change, enum outlet_urgency urgency)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};
	ttylock_LockStatus *s = &e.body.lock_status;
	const struct ticket *holder = tickets_by_id(&b->tickets, change->holder);

	s->request = k->number;
	s->id = k->id;
	s->state = state;
	s->code = code;
	if (state == ttylock_State_STATE_QUEUED)
		token_fill(s, k);
	s->position = change->position;
	s->waiters = change->waiters;
	if (holder) {
		s->has_holder = true;
		tell_entry(holder, k->caller, 0, &s->holder);
	}
	tell_owner(b, k, &e, urgency);
}

void tell_ended(
    struct broker *b, const struct ticket *k, ttylock_State state, const struct caller *by)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};

	e.body.lock_status.request = k->number;
	e.body.lock_status.id = k->id;
	e.body.lock_status.state = state;
	name_caller(by, e.body.lock_status.by, sizeof(e.body.lock_status.by));
	tell_owner(b, k, &e, OUTLET_REPLY);
}

void tell_error(
    const struct broker *b, struct caller *c, ttylock_Code code, uint64_t ref, const char *text)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_error_tag};

	e.body.error.code = code;
	e.body.error.ref = ref;
	snprintf(e.body.error.text, sizeof(e.body.error.text), "%s", text);
	b->ops->send(c, &e, OUTLET_REPLY);
}

void tell_refused(struct broker *b, struct caller *c, uint64_t number, ttylock_Code code)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_status_tag};

	e.body.lock_status.request = number;
	e.body.lock_status.state = ttylock_State_STATE_REFUSED;
	e.body.lock_status.code = code;
	b->ops->send(c, &e, OUTLET_REPLY);
}
