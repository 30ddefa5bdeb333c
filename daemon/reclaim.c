#include "reclaim.h"

#include "idle.h"
#include "log.h"
#include "persist.h"
#include "tell.h"

void reclaim(struct broker *b, struct ticket *k, struct caller *c, uint64_t number)
{
	struct locktable_change change;
	struct locktable_grant grant;

	if (!locktable_reown(b->table, k->id, c->id)) {
		tell_refused(b, c, number, ttylock_Code_ERROR_QUOTA);
		return;
	}
	bool holds = !locktable_requeue(b->table, k->id, &change);

	k->caller->usage->requests--;
	k->caller->holds -= holds;
	c->usage->requests++;
	c->holds += holds;
	/* Who waits for the end of a tree's requests may wait for this one no more. */
	struct idle_wait *waiting = k->caller->tree == c->tree ? NULL : k->idle;
	if (waiting)
		k->idle = NULL;
	ticket_reown(&b->tickets, k, c, number);
	idle_resume(b, waiting);
	persist_reowned(b, k);
	tell_log(k, LOG_KIND_RECLAIMED, NULL, NULL);
	if (!holds) {
		tell_not_granted(b, k, ttylock_State_STATE_QUEUED, ttylock_Code_ERROR_NONE, &change,
		    OUTLET_REPLY);
		return;
	}
	locktable_regrant(b->table, k->id, &grant);
	if (k->untold) {
		k->untold = false;
		persist_granted(b, k);
	}
	/* As it was told before, for that may have been lost with the last daemon. */
	tell_granted(b, k, &grant);
}

void reclaim_by_token(
    struct broker *b, struct caller *c, uint64_t number, const uint8_t token[TOKEN_SIZE])
{
	struct ticket *k = tickets_by_token(&b->tickets, token);

	if (!k || k->caller == c) {
		log_debug("pid %d: nothing to reclaim", (int)c->cred.pid);
		tell_refused(b, c, number, ttylock_Code_ERROR_NOT_FOUND);
	} else if (k->caller->cred.process != c->cred.process ||
		   k->caller->cred.uid != c->cred.uid) {
		tell_log(k, LOG_KIND_RECLAIM_DENIED, c, NULL);
		tell_refused(b, c, number, ttylock_Code_ERROR_DENIED);
	} else {
		reclaim(b, k, c, number);
	}
}
