/* The links of this process: found, made, given back; and what becomes of them
 * in the child of a fork. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "deadline.h"
#include "greet.h"
#include "inherit.h"
#include "link_locked.h"
#include "process.h"
#include "sync_point.h"

#define OPEN_TIMEOUT_MS	  5000
#define SETTLE_TIMEOUT_MS 250

static struct {
	pthread_mutex_t lock;	 /* of the list and the counts; before a link's own */
	pthread_mutex_t opening; /* held while one connects, so that two do not */
	struct link *first;
} links = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, NULL};

/* --- fork ----------------------------------------------------------------- */

/* No other thread is in the middle of changing what the child looks at. Without the
 * list there is no way to the links' own. */
static void before_fork(void)
{
	if (!atfork_take(&links.lock))
		return;
	for (struct link *l = links.first; l; l = l->next)
		if (atfork_seize(&l->lock))
			l->forker = atfork_self();
}

static void after_fork_parent(void)
{
	for (struct link *l = atfork_has() ? links.first : NULL; l; l = l->next) {
		if (__atomic_load_n(&l->forker, __ATOMIC_RELAXED) != atfork_self())
			continue;
		__atomic_store_n(&l->forker, NULL, __ATOMIC_RELAXED);
		atfork_return(&l->lock);
	}
	atfork_give(&links.lock);
}

static void close_one(int *fd)
{
	int was = *fd;

	*fd = -1;
	if (was >= 0)
		close(was);
}

static void close_descriptors(struct link *l)
{
	close_one(&l->stir);
	pollable_close(&l->pollable);
	for (int i = 0; i < LINK_TERMINALS; i++)
		close_one(&l->terminals[i].tty);
}

/* The links themselves stay, for the handles that still point to them, and are
 * recognised by their owner; channel.c has closed their sockets. */
static void after_fork_child(void)
{
	for (struct link *l = links.first; l; l = l->next) {
		for (struct request *q = l->requests.first; q; q = q->next) {
			if (q->state == TTYLOCK_GRANTED && !q->owed &&
			    q->last.token.size == INHERIT_TOKEN)
				inherit_remember(q->last.token.bytes);
			q->state = TTYLOCK_LOST;
		}
		atfork_inherit_from(&l->lock, l->forker);
		l->forker = NULL;
		/* A handler may return to who was at it. */
		l->down = l->lost = true;
		l->inherited = true;
		close_descriptors(l);
	}
	links.first = NULL;
	atfork_inherit(&links.lock);
	/* Perhaps that of a thread that the child does not have. */
	pthread_mutex_init(&links.opening, NULL);
}

static struct atfork on_fork = {before_fork, after_fork_parent, after_fork_child, NULL, false};

/* --- found or made -------------------------------------------------------- */

/* Also where nobody has noticed yet. */
static bool is_hung_up(const struct link *l)
{
	struct pollfd p = {.fd = l->channel.fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

bool link_is_up(const struct link *l)
{
	return link_is_alive(l) && !__atomic_load_n(&l->down, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&l->welcomed, __ATOMIC_ACQUIRE) && !is_hung_up(l);
}

static struct link *find(const struct addresses *a)
{
	for (struct link *l = links.first; l; l = l->next)
		for (size_t i = 0; i < a->count; i++)
			if (!strcmp(l->socket, a->path[i]) && link_is_up(l))
				return l;
	return NULL;
}

static struct link *find_and_use(const struct addresses *a)
{
	atfork_lock(&links.lock);
	struct link *l = find(a);
	if (l)
		l->users++;
	atfork_unlock(&links.lock);
	return l;
}

static void allow_start(struct link *l, const struct addresses *a, unsigned flags)
{
	atfork_lock(&l->lock);
	if ((flags & TTYLOCK_START) && !strcmp(l->socket, a->path[a->count - 1])) {
		l->starts = true;
		l->where = *a;
	}
	if (flags & LINK_EAGER)
		l->outage.eager = true;
	atfork_unlock(&l->lock);
}

static void link_free(struct link *l)
{
	channel_close(&l->channel);
	requests_clear(&l->requests);
	close_descriptors(l);
	free(l);
}

static struct link *link_new(void)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->channel.fd = -1;
	l->pollable = POLLABLE_INIT;
	for (int i = 0; i < LINK_TERMINALS; i++)
		l->terminals[i].tty = -1;
	l->stir = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stir >= 0)
		return l;
	free(l);
	return NULL;
}

static int make(struct link **outp, struct channel *c, const struct greeting *g)
{
	struct link *l = link_new();

	if (!l)
		return -ENOMEM;
	channel_move(&l->channel, c);
	l->owner = process_id();
	l->users = 1;
	l->welcomed = true;
	l->tree = g->tree;
	strcpy(l->socket, g->socket);
	pthread_mutex_init(&l->lock, NULL);
	atfork_lock(&links.lock);
	l->next = links.first;
	links.first = l;
	atfork_unlock(&links.lock);
	*outp = l;
	return 0;
}

/* One that was there before its daemon went away, and has what to tell the next
 * one, of requests that others go before. Also where that one has gone again: a second
 * link would leave the first to itself, with all that it has to tell. */
static struct link *find_and_mend(const char *socket)
{
	atfork_lock(&links.lock);
	struct link *l = links.first;
	while (l && strcmp(l->socket, socket) != 0)
		l = l->next;
	if (l)
		l->users++;
	atfork_unlock(&links.lock);
	if (l)
		link_revive(l);
	return l;
}

static int connect_new(struct link **outp, const struct addresses *a, unsigned flags)
{
	struct channel c;
	struct greeting g;

	int r = greet_any(&c, a, flags, &g, deadline_in(OPEN_TIMEOUT_MS));
	if (r < 0)
		return r;
	*outp = find_and_mend(g.socket);
	if (!*outp)
		r = make(outp, &c, &g);
	if (c.fd >= 0)
		channel_close(&c);
	return r;
}

int link_get(struct link **outp, unsigned flags)
{
	struct addresses a;

	int r = atfork_register(&on_fork);
	if (r == 0)
		r = addresses_find(&a);
	if (r < 0)
		return r;
	SYNC_POINT("link.getting");
	pthread_mutex_lock(&links.opening);
	*outp = find_and_use(&a);
	SYNC_POINT("link.opening");
	if (!*outp)
		r = connect_new(outp, &a, flags);
	if (r == 0)
		allow_start(*outp, &a, flags);
	pthread_mutex_unlock(&links.opening);
	return r;
}

/* --- given back ----------------------------------------------------------- */

/* The memory of a copy of the parent's; all else of it is closed already. */
static void put_inherited(struct link *l)
{
	if (!l->inherited || --l->users > 0)
		return;
	requests_clear(&l->requests);
	free(l);
}

/* Before the last one goes: has the daemon heard of all ends? It could die before
 * it does, and would then keep a terminal for us for as long as we live. */
static void settle(struct link *l)
{
	int64_t deadline = deadline_in(SETTLE_TIMEOUT_MS);

	atfork_lock(&l->lock);
	if (requests_owe(&l->requests))
		link_ask(l);
	while (link_hear(l), requests_owe(&l->requests) && !l->down && deadline_left(deadline)) {
		struct pollfd p = {.fd = l->channel.fd, .events = POLLIN};
		atfork_unlock(&l->lock);
		poll(&p, 1, deadline_left(deadline));
		atfork_lock(&l->lock);
	}
	atfork_unlock(&l->lock);
}

/* One that owes an end stays, for the next one who opens a handle: who would else
 * wait for ever behind what this process does not hold any more. Also where the
 * daemon is there, but does not read: it may be killed for that. */
static bool is_to_stay(const struct link *l)
{
	return requests_owe(&l->requests);
}

static bool unlist(struct link *l)
{
	bool last = --l->users == 0 && !is_to_stay(l);

	for (struct link **at = &links.first; last && *at; at = &(*at)->next) {
		if (*at == l) {
			*at = l->next;
			break;
		}
	}
	return last;
}

void link_put(struct link *l)
{
	if (!l)
		return;
	if (l->owner != process_id()) {
		put_inherited(l);
		return;
	}
	bool settled = false;
	atfork_lock(&links.lock);
	/* Told apart and taken off under one lock: of two that go at once, one is the
	 * last. */
	while (l->users == 1 && !settled) {
		atfork_unlock(&links.lock);
		settle(l);
		settled = true;
		atfork_lock(&links.lock);
	}
	bool last = unlist(l);
	atfork_unlock(&links.lock);
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
