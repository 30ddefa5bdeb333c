/* What goes out over a link: to its daemon, and to those who wait here. */
#include <errno.h>
#include <sys/eventfd.h>

#include "deadline.h"
#include "link_locked.h"
#include "process.h"

/* A question is not taken for a request. */
#define QUESTION (UINT64_C(1) << 63)

void link_tell(struct link *l, const struct request *q)
{
	if (q)
		request_tell(q);
	if (l->led)
		eventfd_write(l->stir, LINK_NUDGE);
}

void link_stir(struct link *l)
{
	if (l->owner == process_id())
		eventfd_write(l->stir, 1);
}

unsigned link_stirs(const struct link *l)
{
	return __atomic_load_n(&l->stirs, __ATOMIC_ACQUIRE);
}

/* A signal does not keep it from being sent. */
int link_send(struct link *l, const ttylock_Envelope *e, int passed)
{
	int64_t deadline = DEADLINE_LATER(LINK_SEND_MS);
	int r;

	if (!link_is_alive(l) || l->down)
		return -ECONNRESET;
	while ((r = channel_send(&l->channel, e, passed, deadline)) == -EINTR)
		deadline = deadline_fix(deadline);
	if (r == 0 || r == -EINVAL || r == -EMSGSIZE)
		return r;
	/* Gone, or the system had nothing left for us: the next connection may do. */
	if (r == -ETIMEDOUT)
		link_lose(l);
	else
		link_break(l);
	return -ECONNRESET;
}

int link_later(const struct link *l, int r)
{
	return r == -ECONNRESET && link_is_alive(l) ? 0 : r;
}

void link_number(struct link *l, struct request *q, ttylock_Envelope *e)
{
	ttylock_LockRequest *m = &e->body.lock_request;

	e->which_body = ttylock_Envelope_lock_request_tag;
	*m = q->wish;
	m->request = q->number = ++l->requests.last_number;
	m->reclaim.size = q->last.token.size;
	memcpy(m->reclaim.bytes, q->last.token.bytes, q->last.token.size);
	q->reclaiming = m->reclaim.size != 0;
}

void link_end(const struct request *q, ttylock_Envelope *e)
{
	if (q->begun) {
		e->which_body = ttylock_Envelope_lock_release_tag;
		e->body.lock_release = (ttylock_LockRelease){.request = q->number};
	} else {
		e->which_body = ttylock_Envelope_lock_cancel_tag;
		e->body.lock_cancel = (ttylock_LockCancel){.request = q->number};
	}
}

int link_send_end(struct link *l, struct request *q)
{
	ttylock_Envelope e;

	request_owe(&l->requests, q);
	if (!q->owed)
		return 0;
	link_end(q, &e);
	return link_send(l, &e, -1);
}

void link_ask(struct link *l)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	l->asked = ++l->requests.last_number;
	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = l->asked | QUESTION;
	e.body.status_query.below = l->owner;
	link_send(l, &e, -1);
}

void link_answered(struct link *l, uint64_t query)
{
	if (query == (l->asked | QUESTION))
		requests_confirm(&l->requests, l->asked);
}
