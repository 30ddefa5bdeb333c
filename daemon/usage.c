#include "usage.h"

#include <stdlib.h>

struct usage *usage_ref(struct usage *u)
{
	u->refs++;
	return u;
}

struct usage *usages_get(struct usages *set, uid_t uid)
{
	for (struct usage *u = set->first; u; u = u->next) {
		if (u->uid == uid)
			return usage_ref(u);
	}

	struct usage *u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->uid = uid;
	u->set = set;
	u->next = set->first;
	set->first = u;
	return usage_ref(u);
}

void usage_unref(struct usage *u)
{
	if (!u || --u->refs > 0)
		return;

	struct usage **at = &u->set->first;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	free(u);
}

void usage_queued(struct usage *u, size_t bytes)
{
	u->queued_bytes += bytes;
	u->set->queued_bytes += bytes;
}

void usage_unqueued(struct usage *u, size_t bytes)
{
	u->queued_bytes -= bytes;
	u->set->queued_bytes -= bytes;
}

enum policy_verdict usage_may_queue(const struct usage *u)
{
	struct policy_case pc = {
	    .uid = u->uid,
	    .mine = u->queued_bytes,
	    .others = u->set->queued_bytes - u->queued_bytes,
	    .total = POLICY_BYTES_MAX,
	};

	return policy_decide(POLICY_QUEUE, &pc);
}

bool usage_may_talk(struct usage *u, uint64_t now_ms)
{
	return bucket_has(&u->messages, policy_message_rate(u->uid), now_ms);
}

void usage_talked(struct usage *u, uint64_t now_ms, uint32_t cost)
{
	bucket_spend(&u->messages, policy_message_rate(u->uid), now_ms, cost);
}

bool usage_tell_refusal(struct usage *u, uint64_t now_ms, uint32_t *untold)
{
	const struct bucket_rate *rate = policy_refusal_rate(u->uid);

	if (!bucket_has(&u->refusals, rate, now_ms)) {
		u->refusals_untold++;
		return false;
	}
	bucket_spend(&u->refusals, rate, now_ms, 1);
	*untold = u->refusals_untold;
	u->refusals_untold = 0;
	return true;
}
