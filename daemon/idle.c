#include "idle.h"

#include <errno.h>
#include <stdlib.h>

#include "access.h"
#include "broker_state.h"

struct idle_wait {
	uint64_t query;
	int32_t below;
	struct caller *caller;
	struct ticket *busy;		 // what it waits on
	struct idle_wait *prev, *next;	 // busy->idle
	struct idle_wait *older, *newer; // caller->idle
};

/* Any request that keeps them waiting. The walk sees waiters too, and a terminal
 * is handed over inside the table: there is no moment between two holders. */
static struct ticket *find_busy(const struct broker *b, const struct caller *c, int32_t below)
{
	struct locktable_cursor cursor = {0};
	struct locktable_view view;

	while (locktable_next(b->table, &cursor, &view)) {
		struct ticket *k = tickets_by_id(&b->tickets, view.request);

		if (below ? access_concerns(k, c, below) : access_is_of_tree(k, c))
			return k;
	}
	return NULL;
}

static void wait_on(struct idle_wait *w, struct ticket *busy)
{
	w->busy = busy;
	w->prev = NULL;
	w->next = busy->idle;
	if (w->next)
		w->next->prev = w;
	busy->idle = w;
}

/* Off its caller's list only. */
static void wait_free(struct idle_wait *w)
{
	if (w->older)
		w->older->newer = w->newer;
	if (w->newer)
		w->newer->older = w->older;
	else
		w->caller->idle = w->older;
	w->caller->idle_count--;
	free(w);
}

static void tell_idle(const struct broker *b, struct caller *c, uint64_t query)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_status_report_tag};

	e.body.status_report.query = query;
	e.body.status_report.last = true;
	b->ops->send(c, &e, OUTLET_REPLY);
}

int idle_await(struct broker *b, struct caller *c, uint64_t query, int32_t below)
{
	struct ticket *busy = find_busy(b, c, below);

	if (!busy) {
		tell_idle(b, c, query);
		return 0;
	}
	if (c->idle_count >= IDLE_MAX)
		return -EDQUOT;
	struct idle_wait *w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->query = query;
	w->below = below;
	w->caller = c;
	w->older = c->idle;
	if (w->older)
		w->older->newer = w;
	c->idle = w;
	c->idle_count++;
	wait_on(w, busy);
	return 0;
}

/* Whether the same requests keep both waiting: who may see what is a matter of
 * the user. */
static bool is_alike(const struct idle_wait *a, const struct idle_wait *b)
{
	return a->below == b->below && a->caller->cred.uid == b->caller->cred.uid &&
	       (a->below || a->caller->tree == b->caller->tree);
}

/* One walk for all that are alike. All of them waited on one ticket, which has at
 * most LINEAGE_MAX processes and one tree: so many walks for each user, however
 * many wait. */
void idle_resume(struct broker *b, struct idle_wait *waits)
{
	while (waits) {
		const struct idle_wait like = *waits;
		struct ticket *busy = find_busy(b, like.caller, like.below);
		struct idle_wait *others = NULL, *next;

		for (struct idle_wait *w = waits; w; w = next) {
			next = w->next;
			if (!is_alike(w, &like)) {
				w->next = others;
				others = w;
			} else if (busy) {
				wait_on(w, busy);
			} else {
				tell_idle(b, w->caller, w->query);
				wait_free(w);
			}
		}
		waits = others;
	}
}

void idle_caller_gone(struct caller *c)
{
	while (c->idle) {
		struct idle_wait *w = c->idle;

		if (w->next)
			w->next->prev = w->prev;
		if (w->prev)
			w->prev->next = w->next;
		else
			w->busy->idle = w->next;
		wait_free(w);
	}
}
