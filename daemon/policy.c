#include "policy.h"

/* Root may fill the total. Anybody else may have half of what the others leave
 * free, so the one who comes first never takes everything, and a uid that is
 * alone still gets half. */
static enum policy_verdict quota(const struct policy_case *c)
{
	uint64_t used = c->mine + c->others;

	if (c->uid == 0)
		return used < c->total ? POLICY_ALLOW : POLICY_QUOTA;

	uint64_t total = c->total - c->total / POLICY_ROOT_RESERVE;
	if (used >= total || c->mine >= (total - c->others + 1) / 2)
		return POLICY_QUOTA;
	return POLICY_ALLOW;
}

static enum policy_verdict linger(const struct policy_case *c)
{
	uint32_t max = c->uid == 0 ? POLICY_UNGREETED_MAX_ROOT : POLICY_UNGREETED_MAX;

	return c->mine < max ? POLICY_ALLOW : POLICY_QUOTA;
}

enum policy_verdict policy_decide(enum policy_operation op, const struct policy_case *c)
{
	if (c->uid == POLICY_UID_OVERFLOW)
		return POLICY_DENY;

	switch (op) {
	case POLICY_CONNECT:
		if (c->over_rate && c->uid != 0 && c->mine >= POLICY_BUSY_CONNECTIONS)
			return POLICY_QUOTA;
		return quota(c);
	case POLICY_TERMINAL:
	case POLICY_LOCK:
	case POLICY_WATCH:
	case POLICY_QUEUE:
		return quota(c);
	case POLICY_LINGER:
		return linger(c);
	case POLICY_SEE:
	case POLICY_STEER:
		return c->uid == 0 || c->uid == c->request_uid || c->uid == c->terminal_uid
			   ? POLICY_ALLOW
			   : POLICY_DENY;
	}
	return POLICY_DENY;
}

/* Anybody's is far below what the daemon can do in a second, so that there is
 * time left for the others whatever he sends. */
const struct bucket_rate *policy_message_rate(uint32_t uid)
{
	static const struct bucket_rate root = {200000, 200000}, anybody = {40000, 40000};

	return uid == 0 ? &root : &anybody;
}

const struct bucket_rate *policy_refusal_rate(uint32_t uid)
{
	static const struct bucket_rate root = {50, 200}, anybody = {5, 50};

	return uid == 0 ? &root : &anybody;
}
