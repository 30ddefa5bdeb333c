/* What comes over a link, and who waits for it. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "deadline.h"
#include "link_locked.h"
#include "process.h"
#include "sync_point.h"

/* --- taking in ------------------------------------------------------------ */

static unsigned count_terminals(const struct link *l)
{
	unsigned n = 0;

	for (int i = 0; i < LINK_TERMINALS; i++)
		n += l->terminals[i].users > 0;
	return n;
}

static void take_status(struct link *l, const ttylock_LockStatus *status)
{
	ttylock_Envelope e;
	struct request *q;

	switch (requests_update(&l->requests, status, &q)) {
	case REQUEST_GOES_ON:
		break;
	case REQUEST_ASK_ANEW:
		link_number(l, q, &e);
		link_send(l, &e, -1);
		break;
	case REQUEST_END:
		link_send_end(l, q);
		break;
	}
	link_tidy_terminals(l);
}

static void take_error(struct link *l, const ttylock_Error *error)
{
	/* Not one of us: too many connections, or another version. */
	if (!l->welcomed) {
		link_break(l);
		return;
	}
	/* One that names no request is about a terminal: of which, is clear only
	 * where there is one. Else the requests for it will be refused by
	 * themselves. */
	if (error->ref || count_terminals(l) == 1)
		requests_refuse(&l->requests, error);
}

static void take_welcome(struct link *l)
{
	ttylock_Event lost = {.kind = ttylock_EventKind_EVENT_LOST};

	__atomic_store_n(&l->welcomed, true, __ATOMIC_RELEASE);
	outage_end(&l->outage);
	if (l->on_event)
		l->on_event(&lost, l->on_event_arg);
}

/* Whether it is news for anybody. */
static bool take_frame(struct link *l, const ttylock_Envelope *e)
{
	switch (e->which_body) {
	case ttylock_Envelope_lock_status_tag:
		take_status(l, &e->body.lock_status);
		return true;
	case ttylock_Envelope_error_tag:
		take_error(l, &e->body.error);
		return true;
	case ttylock_Envelope_event_tag:
		if (l->on_event)
			l->on_event(&e->body.event, l->on_event_arg);
		return true;
	case ttylock_Envelope_welcome_tag:
		take_welcome(l);
		return l->on_event != NULL;
	case ttylock_Envelope_status_report_tag:
		if (e->body.status_report.last)
			link_answered(l, e->body.status_report.query);
		return false;
	default: /* an answer that nobody waits for any more */
		return false;
	}
}

void link_hear_last(struct link *l)
{
	ttylock_Envelope e;

	while (channel_receive(&l->channel, &e, 0) > 0)
		take_frame(l, &e);
}

int link_hear(struct link *l)
{
	ttylock_Envelope e;
	bool dry = false;
	int frames = 0;

	for (;;) {
		link_mend(l);
		if (!link_is_alive(l))
			return -ECONNRESET;
		if (l->down)
			return frames;
		int r = channel_receive_some(&l->channel, &e, &dry);
		if (r == 0 || r == -EINTR)
			return frames;
		if (r == -EPROTO)
			link_lose(l);
		else if (r < 0)
			link_break(l);
		else
			frames += take_frame(l, &e);
	}
}

int link_drain(struct link *l)
{
	if (l->owner != process_id())
		return -ECONNRESET;
	atfork_lock(&l->lock);
	int r = link_hear(l);
	if (r != 0)
		link_tell(l, NULL); /* it may have been for the one who polls */
	atfork_unlock(&l->lock);
	return r;
}

/* --- waiting -------------------------------------------------------------- */

static bool is_settled(const struct link *l, uint64_t id)
{
	const struct request *q = requests_find(&l->requests, id);

	return !q || q->state != TTYLOCK_QUEUED;
}

/* 0: look again; else what ends the wait. */
static int poll_unlocked(struct link *l, struct pollfd *p, nfds_t n, int64_t deadline)
{
	atfork_unlock(&l->lock);
	SYNC_POINT("acquire.waits");
	int ready = poll(p, n, deadline_left(deadline));
	int r = ready < 0 ? -errno : ready == 0 ? -ETIMEDOUT : 0;
	SYNC_POINT("acquire.granted-not-read");
	atfork_lock(&l->lock);
	return r;
}

/* For all: what comes over the socket; where that is down, until it is time to
 * connect anew. */
static int lead(struct link *l, int64_t deadline)
{
	struct pollfd p[] = {{.fd = l->down ? -1 : l->channel.fd, .events = POLLIN},
	    {.fd = l->stir, .events = POLLIN}};
	int64_t until = link_mend_before(l, deadline);
	eventfd_t count;

	int r = poll_unlocked(l, p, 2, until);
	if (p[1].revents && eventfd_read(l->stir, &count) == 0 && count % LINK_NUDGE) {
		__atomic_add_fetch(&l->stirs, 1, __ATOMIC_RELEASE);
		requests_wake_all(&l->requests);
	}
	return r == -ETIMEDOUT && until != deadline ? 0 : r;
}

/* Another thread polls the socket: wait to be told. */
static int follow(struct link *l, uint64_t id, int64_t deadline)
{
	struct pollfd p = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = POLLIN};

	if (p.fd < 0)
		return -errno;
	struct request *q = requests_find(&l->requests, id);
	q->news = p.fd;
	q->follows = true;
	int r = poll_unlocked(l, &p, 1, deadline);
	q = requests_find(&l->requests, id);
	if (q) {
		q->news = -1;
		q->follows = false;
	}
	close(p.fd);
	return r;
}

/* Nothing is received yet, so whatever there is will be told by poll(2). */
static bool may_poll_at_once(const struct link *l)
{
	return link_is_alive(l) && !l->down && l->channel.len == 0;
}

int link_wait(struct link *l, uint64_t id, unsigned stirs, int64_t deadline)
{
	bool leader = false, fresh = true;
	int r = 0;

	if (l->owner != process_id())
		return -ECONNRESET;
	atfork_lock(&l->lock);
	while (!is_settled(l, id) && r == 0) {
		if (link_stirs(l) != stirs) {
			r = -EAGAIN;
			continue;
		}
		if (!leader && l->led) {
			r = follow(l, id, deadline);
			continue;
		}
		leader = l->led = true;
		/* Just asked: the answer is hardly there already. */
		bool heard = !(fresh && may_poll_at_once(l)) && link_hear(l) > 0;
		fresh = false;
		if (!heard && !is_settled(l, id))
			r = lead(l, deadline);
	}
	if (leader) {
		SYNC_POINT("link.lead-passing");
		l->led = false;
	}
	/* Also when only told to lead: that must not end with us. */
	if (!l->led)
		requests_wake_one(&l->requests);
	/* What came together with the deadline or the signal counts first. */
	if (r < 0 && is_settled(l, id))
		r = 0;
	atfork_unlock(&l->lock);
	return r;
}

/* Granted by a daemon that has gone, and the next one has not said so yet. */
static bool is_doubtful(struct link *l, uint64_t id)
{
	link_hear(l);
	const struct request *q = requests_find(&l->requests, id);
	return q && q->state == TTYLOCK_GRANTED && link_is_alive(l) && (l->down || q->reclaiming);
}

void link_confirm(struct link *l, uint64_t id, int64_t deadline)
{
	if (l->owner != process_id())
		return;
	atfork_lock(&l->lock);
	while (is_doubtful(l, id) && deadline_left(deadline)) {
		struct pollfd p = {.fd = l->down ? -1 : l->channel.fd, .events = POLLIN};

		poll_unlocked(l, &p, 1, link_mend_before(l, deadline));
	}
	link_tell(l, NULL); /* what came may have been for the one who polls */
	atfork_unlock(&l->lock);
}

int link_poll(struct link *l, int wake, int64_t deadline)
{
	struct pollfd p[] = {{.events = POLLIN}, {.fd = wake, .events = POLLIN}};

	atfork_lock(&l->lock);
	int64_t until = link_mend_before(l, deadline);
	p[0].fd = l->down ? -1 : l->channel.fd;
	atfork_unlock(&l->lock);
	int n = poll(p, 2, deadline_left(until));
	if (n < 0)
		return -errno;
	return n == 0 && until == deadline ? -ETIMEDOUT : 0;
}

int link_pollable(struct link *l)
{
	int r = 0;

	if (!link_is_alive(l))
		return -ECONNRESET;
	atfork_lock(&l->lock);
	if (l->pollable.epoll < 0) {
		r = pollable_open(&l->pollable);
		if (l->down)
			pollable_at(&l->pollable, l->outage.next);
		else
			pollable_watch(&l->pollable, l->channel.fd);
	}
	if (r == 0)
		r = l->pollable.epoll;
	atfork_unlock(&l->lock);
	return r;
}
