#include "link_locked.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "deadline.h"
#include "process.h"
#include "sync_point.h"

/* All that those who release wait in one outage. */
#define RELEASE_MS 2000
#define NAP_MS	   20

bool link_revive(struct link *l)
{
	atfork_lock(&l->lock);
	bool up = link_mend_now(l);
	atfork_unlock(&l->lock);
	return up;
}

/* --- requests ------------------------------------------------------------- */

static int request(
    struct link *l, const ttylock_LockRequest *wish, const void *handle, int news, uint64_t *idp)
{
	ttylock_Envelope e;
	int r = 0;

	if (l->lost && !link_mend_now(l))
		return -ECONNRESET;
	struct request *q = requests_add(&l->requests);
	if (!q)
		return -ENOMEM;
	q->handle = handle;
	q->news = news;
	q->wish = *wish;
	if (!l->down) {
		link_number(l, q, &e);
		r = link_later(l, link_send(l, &e, -1));
	}
	if (r < 0)
		requests_finish(&l->requests, q);
	else /* where another thread may look for it */
		__atomic_store_n(idp, q->id, __ATOMIC_RELEASE);
	return r;
}

int link_request(
    struct link *l, const ttylock_LockRequest *wish, const void *handle, int news, uint64_t *idp)
{
	if (l->owner != process_id())
		return -ECONNRESET;
	atfork_lock(&l->lock);
	int r = request(l, wish, handle, news, idp);
	atfork_unlock(&l->lock);
	SYNC_POINT("acquire.asked");
	return r;
}

/* Nobody's ids are good for anybody else's handle. */
static struct request *find_own(const struct link *l, const void *handle, uint64_t id)
{
	struct request *q = requests_find(&l->requests, id);

	return q && q->handle == handle ? q : NULL;
}

/* Until the daemon that comes next has been told; it is told in any case. In all
 * no longer than one would wait in this outage. */
static int await_daemon(struct link *l, int64_t deadline)
{
	for (;;) {
		link_hear(l);
		if (!l->down)
			return 0;
		int64_t now = clock_ms(), until = deadline;
		if (l->outage.tries && until > l->outage.since + RELEASE_MS)
			until = l->outage.since + RELEASE_MS;
		if (!link_is_alive(l) || (l->outage.tries && now >= until))
			return -ECONNRESET;
		int64_t nap = link_mend_before(l, now + NAP_MS) - now;
		atfork_unlock(&l->lock);
		if (nap > 0)
			nanosleep(&(struct timespec){.tv_nsec = nap * 1000000}, NULL);
		atfork_lock(&l->lock);
	}
}

int link_end_request(struct link *l, const void *handle, uint64_t id, int64_t deadline)
{
	int r = -ENOENT;

	if (l->owner != process_id())
		return -ECONNRESET;
	atfork_lock(&l->lock);
	struct request *q = find_own(l, handle, id);
	if (q) {
		r = q->state == TTYLOCK_LOST ? -ECONNRESET : 0;
		if (request_is_live(q))
			r = link_send_end(l, q);
		link_tell(l, q); /* a thread may wait for it */
		requests_finish(&l->requests, q);
		if (r == -ECONNRESET && link_is_alive(l))
			r = await_daemon(l, deadline_fix(deadline));
		link_tidy_terminals(l);
	}
	atfork_unlock(&l->lock);
	return r;
}

void link_withdraw(struct link *l, const void *handle, uint64_t id)
{
	if (l->owner != process_id())
		return;
	atfork_lock(&l->lock);
	struct request *q = find_own(l, handle, id);
	if (q && q->state == TTYLOCK_QUEUED) {
		link_send_end(l, q);
		q->state = TTYLOCK_CANCELLED;
		link_tell(l, q);
	}
	atfork_unlock(&l->lock);
}

int link_save(struct link *l, const void *handle, uint64_t id, const uint8_t *saved, size_t len)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	ttylock_TerminalState *m = &e.body.terminal_state;
	int r = -ENOENT;

	if (len > sizeof(m->saved.bytes))
		return -EINVAL;
	if (l->owner != process_id())
		return -ECONNRESET;
	e.which_body = ttylock_Envelope_terminal_state_tag;
	m->saved.size = (pb_size_t)len;
	memcpy(m->saved.bytes, saved, len);
	atfork_lock(&l->lock);
	struct request *q = find_own(l, handle, id);
	if (q) {
		m->request = q->number;
		q->saved = *m;
		q->begun = true;
		r = link_later(l, link_send(l, &e, -1));
	}
	atfork_unlock(&l->lock);
	return r;
}

uint64_t link_request_of(struct link *l, const void *handle)
{
	uint64_t id = 0;

	atfork_lock(&l->lock);
	for (const struct request *q = l->requests.first; q && !id; q = q->next)
		if (q->handle == handle)
			id = q->id;
	atfork_unlock(&l->lock);
	return id;
}

int link_last(struct link *l, const void *handle, uint64_t id, ttylock_LockStatus *out)
{
	if (l->owner != process_id())
		return -ENOENT;
	atfork_lock(&l->lock);
	const struct request *q = find_own(l, handle, id);
	if (q)
		*out = q->last;
	atfork_unlock(&l->lock);
	return q ? 0 : -ENOENT;
}

int link_state(
    struct link *l, const void *handle, uint64_t id, enum ttylock_state *state, int *error)
{
	if (l->owner != process_id())
		return -ENOENT;
	atfork_lock(&l->lock);
	const struct request *q = find_own(l, handle, id);
	if (q) {
		*state = q->state;
		*error = q->error;
	}
	atfork_unlock(&l->lock);
	return q ? 0 : -ENOENT;
}

int link_status(struct link *l, const void *handle, uint64_t id, struct ttylock_status *out)
{
	if (l->owner != process_id())
		return -ENOENT;
	atfork_lock(&l->lock);
	const struct request *q = find_own(l, handle, id);
	if (q)
		request_describe(q, out);
	atfork_unlock(&l->lock);
	return q ? 0 : -ENOENT;
}

int link_watch(struct link *l, void (*fn)(const ttylock_Event *event, void *arg), void *arg)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_watch_tag;
	atfork_lock(&l->lock);
	l->on_event = fn;
	l->on_event_arg = arg;
	int r = link_later(l, link_send(l, &e, -1));
	atfork_unlock(&l->lock);
	return r;
}
