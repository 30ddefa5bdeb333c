#include "steer.h"

#include "access.h"
#include "broker.h"
#include "refusal.h"
#include "tell.h"

/* Answers for a request that c wants to steer by the daemon's number: the
 * ticket, or NULL after an Error. */
static struct ticket *steered(struct broker *b, struct caller *c, uint64_t id, bool want_holder)
{
	struct ticket *k = tickets_by_id(&b->tickets, id);
	struct locktable_view view;

	if (!k) {
		tell_error(b, c, ttylock_Code_ERROR_NOT_FOUND, id, "no such request");
		return NULL;
	}
	if (!access_may_steer(k, c)) {
		if (refusal_tell(c->usage))
			tell_log(k, LOG_KIND_DENIED, c, NULL);
		tell_error(
		    b, c, ttylock_Code_ERROR_DENIED, id, "not your request, nor your terminal");
		return NULL;
	}
	locktable_find(b->table, id, &view);
	if (view.holds != want_holder) {
		tell_error(b, c, ttylock_Code_ERROR_INVALID, id,
		    want_holder ? "it does not hold the terminal: cancel it"
				: "it holds the terminal: force its release");
		return NULL;
	}
	return k;
}

void steer_end(struct broker *b, struct caller *c, uint64_t id, bool holder)
{
	ttylock_Envelope answer = {.which_body = ttylock_Envelope_lock_status_tag};
	struct ticket *k = steered(b, c, id, holder);

	if (!k)
		return;
	broker_end(b, k, BROKER_FORCED, c);
	answer.body.lock_status.id = id;
	answer.body.lock_status.state =
	    holder ? ttylock_State_STATE_RELEASED : ttylock_State_STATE_CANCELLED;
	b->ops->send(c, &answer, OUTLET_REPLY);
}

void steer_serve_first(struct broker *b, struct caller *c, uint64_t id)
{
	ttylock_Envelope answer = {.which_body = ttylock_Envelope_lock_status_tag};
	ttylock_LockStatus *s = &answer.body.lock_status;
	struct ticket *k = steered(b, c, id, false);

	if (!k)
		return;
	s->id = k->id;
	s->state = ttylock_State_STATE_QUEUED;
	if (broker_serve_first(b, k, &s->position) != LOCKTABLE_QUEUED) {
		tell_error(b, c, ttylock_Code_ERROR_DEADLOCK, k->id,
		    "one that it would overtake would wait for ever");
		return;
	}
	tell_log(k, LOG_KIND_SERVED_FIRST, c, NULL);
	b->ops->send(c, &answer, OUTLET_REPLY);
}
