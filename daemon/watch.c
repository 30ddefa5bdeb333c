#include "watch.h"

#include <errno.h>

#include "policy.h"

int watch_begin(struct broker *b, struct caller *c)
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

void watch_end(struct broker *b, struct caller *c)
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
