#include "access.h"

#include "policy.h"

static enum policy_verdict about(enum policy_operation op, const struct ticket *k, uid_t uid)
{
	struct policy_case pc = {
	    .uid = uid,
	    .request_uid = k->caller->cred.uid,
	    .terminal_uid = terminal_owner(k->terminal),
	};

	return policy_decide(op, &pc);
}

bool access_may_see(const struct ticket *k, const struct caller *c)
{
	return about(POLICY_SEE, k, c->cred.uid) == POLICY_ALLOW;
}

bool access_may_steer(const struct ticket *k, const struct caller *c)
{
	return about(POLICY_STEER, k, c->cred.uid) == POLICY_ALLOW;
}

static bool is_credible(const struct ticket *k, const struct caller *c)
{
	return k->caller->cred.uid == 0 || access_may_see(k, c);
}

bool access_concerns(const struct ticket *k, const struct caller *c, pid_t pid)
{
	return lineage_has(k->lineage, pid) && is_credible(k, c);
}

bool access_is_of_tree(const struct ticket *k, const struct caller *c)
{
	return k->caller->tree == c->tree && is_credible(k, c);
}
