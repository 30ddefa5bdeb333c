#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deadline.h"
#include "greet.h"
#include "inherit.h"
#include "sync_point.h"

#define OPEN_TIMEOUT_MS 5000
#define SEND_TIMEOUT_MS 2000

/* --- the links of this process -------------------------------------------- */

static struct {
	pthread_mutex_t lock;	 /* of the list and the counts; before a link's own */
	pthread_mutex_t opening; /* held while one connects, so that two do not */
	pthread_once_t once;
	struct link *first;
} links = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_ONCE_INIT, NULL};

/* No other thread is in the middle of changing what the child looks at. */
static void before_fork(void)
{
	pthread_mutex_lock(&links.lock);
	for (struct link *l = links.first; l; l = l->next)
		pthread_mutex_lock(&l->lock);
}

static void after_fork_parent(void)
{
	for (struct link *l = links.first; l; l = l->next)
		pthread_mutex_unlock(&l->lock);
	pthread_mutex_unlock(&links.lock);
}

/* The links themselves stay, for the handles that still point to them, and are
 * recognised by their owner; channel.c has closed their sockets. */
static void after_fork_child(void)
{
	for (struct link *l = links.first; l; l = l->next) {
		for (const struct request *q = l->requests.first; q; q = q->next)
			if (q->state == TTYLOCK_GRANTED && q->last.token.size == INHERIT_TOKEN)
				inherit_remember(q->last.token.bytes);
		pthread_mutex_init(&l->lock, NULL);
		l->inherited = true;
		close(l->nudge);
	}
	links.first = NULL;
	pthread_mutex_init(&links.lock, NULL);
	pthread_mutex_init(&links.opening, NULL);
}

static void set_up(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

bool link_is_alive(const struct link *l)
{
	return l->owner == getpid() && !__atomic_load_n(&l->lost, __ATOMIC_ACQUIRE);
}

/* Also where nobody has noticed yet. */
static bool is_hung_up(const struct link *l)
{
	struct pollfd p = {.fd = l->channel.fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

static struct link *find(const struct addresses *a)
{
	for (struct link *l = links.first; l; l = l->next)
		for (size_t i = 0; i < a->count; i++)
			if (link_is_alive(l) && !strcmp(l->socket, a->path[i]) && !is_hung_up(l))
				return l;
	return NULL;
}

static struct link *find_and_use(const struct addresses *a)
{
	pthread_mutex_lock(&links.lock);
	struct link *l = find(a);
	if (l)
		l->users++;
	pthread_mutex_unlock(&links.lock);
	return l;
}

static void link_free(struct link *l)
{
	channel_close(&l->channel);
	requests_clear(&l->requests);
	if (l->nudge >= 0)
		close(l->nudge);
	free(l);
}

static int connect_new(struct link **outp, const struct addresses *a, unsigned flags)
{
	struct link *l = calloc(1, sizeof(*l));
	struct greeting g;

	if (!l)
		return -ENOMEM;
	l->channel.fd = -1;
	l->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = l->nudge < 0 ? -errno
			     : greet_any(&l->channel, a, flags, &g, deadline_in(OPEN_TIMEOUT_MS));
	if (r < 0) {
		link_free(l);
		return r;
	}
	l->owner = getpid();
	l->users = 1;
	l->daemon_pid = g.welcome.daemon_pid;
	l->uptime_ms = g.welcome.uptime_ms;
	strcpy(l->socket, g.socket);
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_lock(&links.lock);
	l->next = links.first;
	links.first = l;
	pthread_mutex_unlock(&links.lock);
	*outp = l;
	return 0;
}

int link_get(struct link **outp, unsigned flags)
{
	struct addresses a;

	pthread_once(&links.once, set_up);
	int r = addresses_find(&a);
	if (r < 0)
		return r;
	SYNC_POINT("link.getting");
	pthread_mutex_lock(&links.opening);
	*outp = find_and_use(&a);
	SYNC_POINT("link.opening");
	if (!*outp)
		r = connect_new(outp, &a, flags);
	pthread_mutex_unlock(&links.opening);
	return r;
}

/* The memory of a copy of the parent's; all else of it is closed already. */
static void put_inherited(struct link *l)
{
	if (!l->inherited || --l->users > 0)
		return;
	requests_clear(&l->requests);
	free(l);
}

void link_put(struct link *l)
{
	if (!l)
		return;
	if (l->owner != getpid()) {
		put_inherited(l);
		return;
	}
	pthread_mutex_lock(&links.lock);
	bool last = --l->users == 0;
	for (struct link **at = &links.first; last && *at; at = &(*at)->next) {
		if (*at == l) {
			*at = l->next;
			break;
		}
	}
	pthread_mutex_unlock(&links.lock);
	if (!last)
		return;
	SYNC_POINT("link.last-put");
	pthread_mutex_destroy(&l->lock);
	link_free(l);
}

int link_connect_beside(const struct link *l, struct channel *c, int64_t deadline)
{
	struct greeting g;

	if (!link_is_alive(l))
		return -ECONNRESET;
	int r = greet_at(c, l->socket, &g, deadline);
	return r == -EAGAIN || r == -ENOENT || r == -ECONNREFUSED ? -ECONNRESET : r;
}

/* --- sending -------------------------------------------------------------- */

/* Whoever waits for one of its requests looks again. */
static void tell(struct link *l, const struct request *q)
{
	if (q)
		request_tell(q);
	if (l->led)
		eventfd_write(l->nudge, 1);
}

static void lose_locked(struct link *l)
{
	if (l->owner != getpid())
		return;
	shutdown(l->channel.fd, SHUT_RDWR);
	__atomic_store_n(&l->lost, true, __ATOMIC_RELEASE);
	requests_lose(&l->requests);
	tell(l, NULL);
}

/* A signal does not keep it from being sent. */
static int send_locked(struct link *l, const ttylock_Envelope *e, int passed)
{
	int64_t deadline = deadline_in(SEND_TIMEOUT_MS);
	int r;

	if (!link_is_alive(l))
		return -ECONNRESET;
	do {
		r = channel_send(&l->channel, e, passed, deadline);
	} while (r == -EINTR);
	if (r == 0 || r == -EINVAL || r == -EMSGSIZE)
		return r;
	lose_locked(l);
	return -ECONNRESET;
}

int link_send(struct link *l, const ttylock_Envelope *e)
{
	if (!link_is_alive(l))
		return -ECONNRESET;
	pthread_mutex_lock(&l->lock);
	int r = send_locked(l, e, -1);
	pthread_mutex_unlock(&l->lock);
	return r;
}

int link_add_terminal(struct link *l, int tty, unsigned device)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	int r = -EUSERS;

	pthread_mutex_lock(&l->lock);
	/* Introduced anew also where the number is known: the device behind it
	 * may be another one by now. */
	for (int i = 0; i < LINK_TERMINALS && r == -EUSERS; i++)
		if (l->terminals[i].users && l->terminals[i].device == device)
			r = i;
	for (int i = 0; i < LINK_TERMINALS && r == -EUSERS; i++)
		if (!l->terminals[i].users)
			r = i;
	if (r >= 0) {
		e.which_body = ttylock_Envelope_terminal_open_tag;
		e.body.terminal_open.terminal = (uint32_t)r;
		int sent = send_locked(l, &e, tty);
		if (sent < 0) {
			r = sent;
		} else {
			l->terminals[r].users++;
			l->terminals[r].device = device;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}

void link_forget_terminal(struct link *l, int terminal)
{
	pthread_mutex_lock(&l->lock);
	l->terminals[terminal].users--;
	pthread_mutex_unlock(&l->lock);
}

/* --- receiving ------------------------------------------------------------ */

static unsigned count_terminals(const struct link *l)
{
	unsigned n = 0;

	for (int i = 0; i < LINK_TERMINALS; i++)
		n += l->terminals[i].users > 0;
	return n;
}

static void take_frame(struct link *l, const ttylock_Envelope *e)
{
	switch (e->which_body) {
	case ttylock_Envelope_lock_status_tag:
		requests_update(&l->requests, &e->body.lock_status);
		break;
	case ttylock_Envelope_error_tag:
		/* One that names no request is about a terminal: of which, is
		 * clear only where there is one. Else the requests for it will
		 * be refused by themselves. */
		if (e->body.error.ref || count_terminals(l) == 1)
			requests_refuse(&l->requests, &e->body.error);
		break;
	case ttylock_Envelope_event_tag:
		if (l->on_event)
			l->on_event(&e->body.event, l->on_event_arg);
		break;
	default: /* an answer that nobody waits for any more */
		break;
	}
}

static int drain_locked(struct link *l)
{
	ttylock_Envelope e;
	int frames = 0;

	for (;;) {
		int r = link_is_alive(l) ? channel_receive(&l->channel, &e, 0) : -ECONNRESET;
		if (r == 0 || r == -EINTR)
			return frames;
		if (r < 0) {
			lose_locked(l);
			return -ECONNRESET;
		}
		take_frame(l, &e);
		frames++;
	}
}

int link_drain(struct link *l)
{
	if (l->owner != getpid())
		return -ECONNRESET;
	pthread_mutex_lock(&l->lock);
	int r = drain_locked(l);
	if (r != 0)
		tell(l, NULL); /* it may have been for the one who polls */
	pthread_mutex_unlock(&l->lock);
	return r;
}

static bool is_settled(const struct link *l, uint64_t id)
{
	const struct request *q = requests_find(&l->requests, id);

	return !q || q->state != TTYLOCK_QUEUED;
}

/* Polls wake and two others, unlocked. 0: look again; else what ends the wait. */
static int poll_unlocked(struct link *l, int wake, int fd, int other, int64_t deadline)
{
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = wake, .events = POLLIN},
	    {.fd = other, .events = POLLIN}};

	pthread_mutex_unlock(&l->lock);
	SYNC_POINT("acquire.waits");
	int n = poll(p, 3, deadline_left(deadline));
	int r = n < 0 ? -errno : n == 0 ? -ETIMEDOUT : p[1].revents ? -EAGAIN : 0;
	SYNC_POINT("acquire.granted-not-read");
	pthread_mutex_lock(&l->lock);
	return r;
}

/* Another thread polls the socket: wait to be told. */
static int follow(struct link *l, uint64_t id, int wake, int64_t deadline)
{
	int news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (news < 0)
		return -errno;
	struct request *q = requests_find(&l->requests, id);
	q->news = news;
	q->follows = true;
	int r = poll_unlocked(l, wake, news, -1, deadline);
	q = requests_find(&l->requests, id);
	if (q) {
		q->news = -1;
		q->follows = false;
	}
	close(news);
	return r;
}

int link_wait(struct link *l, uint64_t id, int wake, int64_t deadline)
{
	bool leader = false;
	eventfd_t count;
	int r = 0;

	if (l->owner != getpid())
		return -ECONNRESET;
	pthread_mutex_lock(&l->lock);
	while (!is_settled(l, id) && r == 0) {
		if (!leader && l->led) {
			r = follow(l, id, wake, deadline);
			continue;
		}
		leader = l->led = true;
		eventfd_read(l->nudge, &count);
		if (drain_locked(l) <= 0 && !is_settled(l, id))
			r = poll_unlocked(l, wake, l->channel.fd, l->nudge, deadline);
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
	pthread_mutex_unlock(&l->lock);
	return r;
}

/* --- requests ------------------------------------------------------------- */

int link_request(struct link *l, ttylock_Envelope *e, const void *handle, int news, uint64_t *idp)
{
	int r = -ENOMEM;

	if (l->owner != getpid())
		return -ECONNRESET;
	pthread_mutex_lock(&l->lock);
	struct request *q = requests_add(&l->requests);
	if (q) {
		q->handle = handle;
		q->news = news;
		e->body.lock_request.request = q->id;
		r = send_locked(l, e, -1);
		if (r < 0)
			requests_remove(&l->requests, q->id);
		else /* where another thread may look for it */
			__atomic_store_n(idp, q->id, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&l->lock);
	SYNC_POINT("acquire.asked");
	return r;
}

/* Nobody's ids are good for anybody else's handle. */
static struct request *find_own(const struct link *l, const void *handle, uint64_t id)
{
	struct request *q = requests_find(&l->requests, id);

	return q && q->handle == handle ? q : NULL;
}

int link_end_request(struct link *l, const void *handle, uint64_t id, const ttylock_Envelope *e)
{
	int r = -ENOENT;

	if (l->owner != getpid())
		return -ECONNRESET;
	pthread_mutex_lock(&l->lock);
	struct request *q = find_own(l, handle, id);
	if (q) {
		bool lives = q->state == TTYLOCK_QUEUED || q->state == TTYLOCK_GRANTED;
		r = lives ? send_locked(l, e, -1) : q->state == TTYLOCK_LOST ? -ECONNRESET : 0;
		tell(l, q); /* a thread may wait for it */
		requests_remove(&l->requests, id);
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}

void link_withdraw(struct link *l, const void *handle, uint64_t id)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	if (l->owner != getpid())
		return;
	e.which_body = ttylock_Envelope_lock_cancel_tag;
	e.body.lock_cancel.request = id;
	pthread_mutex_lock(&l->lock);
	struct request *q = find_own(l, handle, id);
	if (q && q->state == TTYLOCK_QUEUED) {
		send_locked(l, &e, -1);
		q->state = TTYLOCK_CANCELLED;
		tell(l, q);
	}
	pthread_mutex_unlock(&l->lock);
}

uint64_t link_request_of(struct link *l, const void *handle)
{
	uint64_t id = 0;

	pthread_mutex_lock(&l->lock);
	for (const struct request *q = l->requests.first; q && !id; q = q->next)
		if (q->handle == handle)
			id = q->id;
	pthread_mutex_unlock(&l->lock);
	return id;
}

int link_last(struct link *l, const void *handle, uint64_t id, ttylock_LockStatus *out)
{
	if (l->owner != getpid())
		return -ENOENT;
	pthread_mutex_lock(&l->lock);
	const struct request *q = find_own(l, handle, id);
	if (q)
		*out = q->last;
	pthread_mutex_unlock(&l->lock);
	return q ? 0 : -ENOENT;
}

int link_status(struct link *l, const void *handle, uint64_t id, struct ttylock_status *out)
{
	if (l->owner != getpid())
		return -ENOENT;
	pthread_mutex_lock(&l->lock);
	const struct request *q = find_own(l, handle, id);
	if (q)
		request_describe(q, out);
	pthread_mutex_unlock(&l->lock);
	return q ? 0 : -ENOENT;
}
