#include "grace.h"

#include <event2/event_struct.h>
#include <stdlib.h>

#include "policy.h"

struct grace {
	struct event timer;
	struct usage *usage;
	int over; /* so many are */
	bool lingering;
};

struct grace *grace_new(
    struct event_base *base, struct usage *usage, event_callback_fn fn, void *arg)
{
	static const struct timeval length = {POLICY_GREET_GRACE_S, 0};
	struct grace *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->usage = usage;
	event_assign(&g->timer, base, -1, EV_PERSIST, fn, arg);
	if (event_add(&g->timer, &length) < 0) {
		free(g);
		return NULL;
	}
	return g;
}

bool grace_goes_on(struct grace *g)
{
	struct policy_case pc = {.uid = g->usage->uid, .mine = g->usage->lingering};

	if (g->lingering)
		return ++g->over * POLICY_GREET_GRACE_S < POLICY_GREET_DEADLINE_S;
	if (policy_decide(POLICY_LINGER, &pc) != POLICY_ALLOW)
		return false;
	g->over = 1;
	g->lingering = true;
	g->usage->lingering++;
	return true;
}

void grace_stop(struct grace *g)
{
	if (g)
		event_del(&g->timer);
}

void grace_free(struct grace *g)
{
	if (!g)
		return;
	grace_stop(g);
	g->usage->lingering -= g->lingering;
	free(g);
}
