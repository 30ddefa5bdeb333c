#include "turn.h"

#include <errno.h>

#include "clock.h"

/* Turns for each user before the others, and those who only just came, are
 * looked at. */
#define TURNS_MAX 16

/* When all that wait are over their rate. */
static const struct timeval pause = {0, 10 * 1000};
static const struct timeval at_once = {0, 0};

/* Whether some of them can go on at once. */
static bool user_serve(struct turns *set, struct usage *u)
{
	for (int i = 0; i < TURNS_MAX && u->first && usage_may_talk(u, clock_ms()); i++) {
		struct turn *turn = u->first;

		turn_forget(turn);
		set->take(turn);
	}
	return u->first && usage_may_talk(u, clock_ms());
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct turns *set = arg;
	bool any = false, ready = false;
	struct usage *next;

	(void)fd;
	(void)what;
	for (struct usage *u = set->usages->first; u; u = next) {
		/* Its last connection may end with this turn. */
		usage_ref(u);
		ready = user_serve(set, u) || ready;
		any = u->first || any;
		next = u->next;
		usage_unref(u);
	}
	if (!any)
		event_del(&set->rest);
	else if (ready)
		event_add(&set->tick, &at_once); /* else it is that of the rest */
}

void turns_init(struct turns *set, struct event_base *base, struct usages *usages,
    void (*take)(struct turn *turn))
{
	*set = (struct turns){.usages = usages, .take = take};
	evtimer_assign(&set->tick, base, on_tick, set);
	event_assign(&set->rest, base, -1, EV_PERSIST, on_tick, set);
}

void turns_deinit(struct turns *set)
{
	event_del(&set->tick);
	event_del(&set->rest);
}

int turn_await(struct turns *set, struct turn *turn)
{
	struct usage *u = turn->usage;

	if (turn->waits)
		return 0;
	if (!event_pending(&set->rest, EV_TIMEOUT, NULL) && event_add(&set->rest, &pause) < 0)
		return -ENOMEM;
	turn->waits = true;
	turn->next = NULL;
	turn->prev = u->last;
	if (u->last)
		u->last->next = turn;
	else
		u->first = turn;
	u->last = turn;
	if (usage_may_talk(u, clock_ms()))
		event_add(&set->tick, &at_once);
	return 0;
}

void turn_forget(struct turn *turn)
{
	struct usage *u = turn->usage;

	if (!turn->waits)
		return;
	turn->waits = false;
	if (turn->next)
		turn->next->prev = turn->prev;
	else
		u->last = turn->prev;
	if (turn->prev)
		turn->prev->next = turn->next;
	else
		u->first = turn->next;
}
