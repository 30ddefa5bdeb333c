#include "link_locked.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "deadline.h"
#include "process.h"
#include "sync_point.h"

#define SEND_TIMEOUT_MS 2000
/* All that those who release wait in one outage. */
#define RELEASE_MS 2000
#define NAP_MS	   20
/* A question is not taken for a request. */
#define QUESTION (UINT64_C(1) << 63)

bool link_is_alive(const struct link *l)
{
	return l->owner == process_id() && !__atomic_load_n(&l->lost, __ATOMIC_ACQUIRE);
}

/* --- sending -------------------------------------------------------------- */

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
	int64_t deadline = DEADLINE_LATER(SEND_TIMEOUT_MS);
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

/* What could not be sent for want of a daemon: the next one is told. */
static int later(const struct link *l, int r)
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

bool link_revive(struct link *l)
{
	atfork_lock(&l->lock);
	bool up = link_mend_now(l);
	atfork_unlock(&l->lock);
	return up;
}

/* --- terminals ------------------------------------------------------------ */

static bool is_needed(const struct link *l, int terminal)
{
	if (l->terminals[terminal].users)
		return true;
	for (const struct request *q = l->requests.first; q; q = q->next)
		if (q->owed && (int)q->wish.terminal == terminal)
			return true;
	return false;
}

void link_tidy_terminals(struct link *l)
{
	for (int i = 0; i < LINK_TERMINALS; i++) {
		if (l->terminals[i].tty < 0 || is_needed(l, i))
			continue;
		int tty = l->terminals[i].tty;
		l->terminals[i].tty = -1; /* first: a handler may fork */
		close(tty);
	}
}

static int find_place(const struct link *l, unsigned device)
{
	for (int i = 0; i < LINK_TERMINALS; i++)
		if (l->terminals[i].users && l->terminals[i].device == device)
			return i;
	for (int i = 0; i < LINK_TERMINALS; i++)
		if (l->terminals[i].tty < 0)
			return i;
	return -EUSERS;
}

static int add_terminal(struct link *l, int tty, unsigned device)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	int own;

	if (l->lost && !link_mend_now(l))
		return -ECONNRESET;
	int place = find_place(l, device);
	if (place < 0)
		return place;
	own = fcntl(tty, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -errno;
	/* Introduced anew also where the number is known: the device behind it
	 * may be another one by now. */
	e.which_body = ttylock_Envelope_terminal_open_tag;
	e.body.terminal_open.terminal = (uint32_t)place;
	int r = later(l, link_send(l, &e, tty));
	if (r < 0) {
		close(own);
		return r;
	}
	int before = l->terminals[place].tty;
	l->terminals[place].tty = own;
	if (before >= 0)
		close(before);
	l->terminals[place].users++;
	l->terminals[place].device = device;
	return place;
}

int link_add_terminal(struct link *l, int tty, unsigned device)
{
	atfork_lock(&l->lock);
	int r = add_terminal(l, tty, device);
	atfork_unlock(&l->lock);
	return r;
}

void link_forget_terminal(struct link *l, int terminal)
{
	atfork_lock(&l->lock);
	l->terminals[terminal].users--;
	link_tidy_terminals(l);
	atfork_unlock(&l->lock);
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
		r = later(l, link_send(l, &e, -1));
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
		r = later(l, link_send(l, &e, -1));
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
	int r = later(l, link_send(l, &e, -1));
	atfork_unlock(&l->lock);
	return r;
}
