#include "follow.h"

#include <errno.h>
#include <poll.h>

#include "../include/ttylock.h"
#include "../lib/deadline.h"

#define RETRY_MS 200
#define LAST_MS	 1000 /* for the list at the end */

/* Keeps the first result: whoever gave it wants to hear nothing more. */
static void settle(struct follow *f, int result)
{
	if (f->result == 0)
		f->result = result;
	f->ended = f->ended || f->result != 0;
}

static void say_back(struct follow *f)
{
	if (!f->back && f->on_back)
		settle(f, f->on_back(&f->feed.greeting, f->arg));
	f->back = true;
}

static void say_lost(struct follow *f)
{
	if (f->back && f->on_lost)
		settle(f, f->on_lost(f->arg));
	f->back = false;
}

static void on_event(const ttylock_Event *event, void *arg)
{
	struct follow *f = arg;

	say_back(f);
	if (event->kind == ttylock_EventKind_EVENT_LOST)
		f->stale = true;
	if (f->result == 0)
		settle(f, f->on_event(event, f->arg));
}

static int list(struct follow *f, int64_t deadline)
{
	struct listing l = {0};

	f->stale = false;
	int r = feed_list(&f->feed, &l, deadline);
	if (r == 0)
		say_back(f);
	else
		f->stale = true; /* broken off */
	if (r == 0 && f->result == 0 && f->on_list)
		settle(f, f->on_list(&l, f->arg));
	listing_free(&l);
	return r;
}

/* Until something is to be read, or it is to end. */
static int sleep_until_news(struct follow *f, int timeout)
{
	struct pollfd p[] = {{.fd = f->feed.open ? f->feed.channel.fd : -1, .events = POLLIN},
	    {.fd = f->wake, .events = POLLIN}};
	int left = deadline_left(f->deadline);
	int n = poll(p, 2, left >= 0 && (timeout < 0 || left < timeout) ? left : timeout);

	if (n < 0)
		return -errno;
	f->ended = f->ended || p[1].revents || deadline_left(f->deadline) == 0;
	return 0;
}

/* One daemon, to its end. From its list on nothing is missed. */
static int follow_one(struct follow *f)
{
	int r = feed_watch(&f->feed);

	f->stale = r == 0;
	while (r == 0 || r == -EINTR) {
		if (f->ended)
			return f->result || !f->on_list ? 0 : list(f, deadline_in(LAST_MS));
		r = f->stale ? list(f, deadline_in(FEED_MS)) : 0;
		/* What came with the list is read already, and no poll tells of it. */
		if (r == 0 && !f->stale)
			r = feed_wait(&f->feed, 0);
		if (r == 0 && !f->stale && !f->ended)
			r = sleep_until_news(f, -1);
	}
	return r;
}

int follow_run(struct follow *f)
{
	unsigned flags = f->start ? TTYLOCK_START : 0;

	f->back = true; /* so that one that was never there is told of */
	while (!f->ended) {
		f->feed = (struct feed){.on_event = on_event, .arg = f};
		int r = feed_open(&f->feed, flags);
		flags = 0;
		if (r == 0) {
			f->back = false;
			r = follow_one(f);
		}
		feed_close(&f->feed);
		if (f->ended)
			break;
		if (!feed_is_absence(r))
			return r;
		say_lost(f);
		if (!f->ended)
			sleep_until_news(f, RETRY_MS);
	}
	return f->result;
}
