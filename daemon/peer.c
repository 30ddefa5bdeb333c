#include "peer.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "discard.h"
#include "frame.h"
#include "log.h"
#include "outbox.h"
#include "policy.h"
#include "proof.h"
#include "request.h"
#include "sync_point.h"

/* From here on a peer's events are dropped, and it is not read from, until it
 * has read what there is. */
#define OUTBOX_SOFT (64u * 1024)
/* More than all statuses of a peer with very many requests: one that lets so
 * much lie is dropped. A long answer that it asked for does not count. */
#define OUTBOX_HARD (2u * 1024 * 1024)
/* Long answers of all peers of one user that lie unread. */
#define QUEUED_MAX (64u * 1024 * 1024)
/* Of what a dead process has left in its socket. */
#define LAST_WORDS 64

struct peer {
	struct caller caller; // first: peer_of()
	struct peers *set;
	struct peer *prev, *next; // peers.first
	struct peer *next_dead;	  // peers.dead
	int sock;
	struct event readable, writable, died, greet;
	bool paused;	  /* not read from until the outbox is empty */
	bool lingering;	  /* counted in usage */
	bool events_lost; /* some were dropped: to be told */
	uint8_t rx[FRAME_MAX];
	size_t rx_len;
	/* rx[0..proof_end) came up to and with the pending descriptor. */
	size_t proof_end;
	struct outbox out;
	size_t bulk; /* long answers put into it since it was empty */
};

static struct peer *peer_of(struct caller *c)
{
	return (struct peer *)c;
}

/* --- death ------------------------------------------------------------- */

/* Marks it; peers_reap does the rest. */
static void peer_gone(struct peer *p, const char *why)
{
	if (p->caller.gone)
		return;
	log_debug("pid %d (%s), uid %u: %s", (int)p->caller.cred.pid, p->caller.cred.comm,
	    (unsigned)p->caller.cred.uid, why);
	p->caller.gone = true;
	event_del(&p->readable);
	event_del(&p->writable);
	event_del(&p->died);
	event_del(&p->greet);
	p->next_dead = p->set->dead;
	p->set->dead = p;
}

static void peer_free(struct peer *p)
{
	struct peers *set = p->set;
	struct usage *usage = p->caller.usage;

	if (p->next)
		p->next->prev = p->prev;
	if (p->prev)
		p->prev->next = p->next;
	else
		set->first = p->next;
	set->count--;
	usage->connections--;
	usage->lingering -= p->lingering;
	usage->queued_bytes -= outbox_length(&p->out);
	/* A last Error should reach it, if there is room for that. */
	outbox_flush(&p->out, p->sock);
	outbox_deinit(&p->out);
	close(p->sock);
	cred_close(&p->caller.cred);
	usage_unref(usage);
	free(p);
}

/* At the end of every callback. The loop is for those that are found dead while
 * others leave. */
static void peers_reap(struct peers *set)
{
	bool any = set->dead != NULL;

	while (set->dead) {
		struct peer *p = set->dead;

		set->dead = p->next_dead;
		SYNC_POINT("peer.gone-not-dropped");
		broker_caller_gone(set->broker, &p->caller);
		peer_free(p);
	}
	if (any)
		set->freed(set->freed_arg);
}

/* --- sending ----------------------------------------------------------- */

static void peer_flush(struct peer *p)
{
	size_t before = outbox_length(&p->out);
	int rc = outbox_flush(&p->out, p->sock);

	p->caller.usage->queued_bytes -= before - outbox_length(&p->out);
	if (rc < 0)
		peer_gone(p, "cannot be written to");
	else if (outbox_length(&p->out) > 0)
		event_add(&p->writable, NULL);
	else
		p->bulk = 0;
}

static void peer_queue(struct peer *p, const ttylock_Envelope *e)
{
	uint8_t *room = outbox_room(&p->out, FRAME_MAX);
	ssize_t n = room ? frame_encode(e, room, FRAME_MAX) : -ENOMEM;

	if (n < 0) {
		errno = (int)-n;
		log_warn("cannot queue a message for pid %d", (int)p->caller.cred.pid);
		peer_gone(p, "cannot be answered");
		return;
	}
	outbox_added(&p->out, (size_t)n);
	p->caller.usage->queued_bytes += (size_t)n;
}

static void send_bulk(struct peer *p, const ttylock_Envelope *e)
{
	size_t before = outbox_length(&p->out);

	if (p->caller.usage->queued_bytes > QUEUED_MAX) {
		peer_gone(p, "its user lets too much lie unread");
		return;
	}
	peer_queue(p, e);
	p->bulk += outbox_length(&p->out) - before;
	/* In large pieces: the kernel's buffer is the faster one. */
	if (outbox_length(&p->out) > OUTBOX_SOFT || e->body.status_report.last)
		peer_flush(p);
}

static void peer_send(struct caller *c, const ttylock_Envelope *e, enum broker_urgency urgency)
{
	struct peer *p = peer_of(c);

	if (c->gone)
		return;
	if (urgency == BROKER_BULK) {
		send_bulk(p, e);
		return;
	}
	if (urgency == BROKER_EVENT && (p->events_lost || outbox_length(&p->out) > OUTBOX_SOFT)) {
		p->events_lost = true;
		return;
	}
	if (outbox_length(&p->out) > OUTBOX_HARD + p->bulk) {
		peer_gone(p, "does not read");
		return;
	}
	peer_queue(p, e);
	if (!c->gone)
		peer_flush(p);
}

const struct broker_ops peer_ops = {.send = peer_send};

/* --- receiving --------------------------------------------------------- */

/* False when the peer may not have sent that. The descriptors are ours in any
 * case, and each is dealt with. */
static bool descriptors_take(struct peer *p, struct msghdr *m)
{
	struct caller *c = &p->caller;
	bool good = !(m->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			if (!good || c->proof_pending) {
				discard(fd);
				good = false;
				continue;
			}
			c->proof_error = proof_take(fd, c->cred.pid, c->cred.uid, &c->proof);
			c->proof_pending = true;
			p->proof_end = SIZE_MAX; /* set once the length is known */
		}
	}
	return good;
}

/* How much to read at most. While a descriptor is pending, no further than to
 * the end of the frame that may own it: beyond could be the next descriptor. */
static size_t rx_room(const struct peer *p)
{
	size_t room = sizeof(p->rx) - p->rx_len;

	if (!p->caller.proof_pending || p->rx_len == 0)
		return p->caller.proof_pending ? 1 : room;
	if (p->rx_len == 1 && (p->rx[0] & 0x80))
		return 1;
	size_t body =
	    p->rx[0] & 0x80 ? (size_t)(p->rx[0] & 0x7f) | (size_t)p->rx[1] << 7 : p->rx[0];
	size_t frame = (p->rx[0] & 0x80 ? 2 : 1) + body;
	return frame - p->rx_len < room ? frame - p->rx_len : room;
}

/* One recvmsg. > 0: there are new bytes; 0: none now; < 0: it is gone. */
static int peer_receive(struct peer *p, bool *filled)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	size_t room = rx_room(p);
	struct iovec iov = {.iov_base = p->rx + p->rx_len, .iov_len = room};
	struct msghdr m = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.buf,
	    .msg_controllen = CMSG_LEN(sizeof(int)), /* CMSG_SPACE has room for two */
	};
	ssize_t n = recvmsg(p->sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	if (n <= 0) {
		peer_gone(p, n == 0 ? "closed its connection" : "connection broken");
		return -1;
	}
	if (!descriptors_take(p, &m)) {
		peer_gone(p, "sent a descriptor too many");
		return -1;
	}
	p->rx_len += (size_t)n;
	if (p->caller.proof_pending && p->proof_end == SIZE_MAX)
		p->proof_end = p->rx_len;
	*filled = (size_t)n == room;
	return 1;
}

/* Handles the whole frames in rx, as long as the peer reads the answers.
 * Returns how many bytes they took. */
static size_t frames_handle(struct peer *p)
{
	struct caller *c = &p->caller;
	size_t at = 0;

	while (!c->gone && at < p->rx_len) {
		ttylock_Envelope e;

		if (outbox_length(&p->out) > OUTBOX_SOFT && !c->dying) {
			p->paused = true;
			break;
		}
		ssize_t n = frame_decode(p->rx + at, p->rx_len - at, &e);
		if (n == 0)
			break;
		if (n < 0) {
			peer_gone(p, n == -EMSGSIZE ? "sent a frame too long" : "sent a bad frame");
			break;
		}
		bool greeted = c->greeted;
		if ((c->proof_pending && at >= p->proof_end &&
			e.which_body != ttylock_Envelope_terminal_open_tag) ||
		    request_handle(p->set->broker, c, &e) < 0)
			peer_gone(p, "sent what it may not");
		if (!greeted && c->greeted)
			event_del(&p->greet);
		at += (size_t)n;
	}
	return at;
}

/* filled: the last read took all that there was room for, so a descriptor's
 * frame may be yet to come although nothing is left here. */
static void peer_process(struct peer *p, bool filled)
{
	size_t took = frames_handle(p);

	p->rx_len -= took;
	memmove(p->rx, p->rx + took, p->rx_len);
	p->proof_end = p->proof_end > took ? p->proof_end - took : 0;
	if (p->caller.gone)
		return;
	if (p->caller.proof_pending && p->rx_len == 0 && !filled)
		peer_gone(p, "sent a descriptor with no terminal");
	else if (p->paused)
		event_del(&p->readable);
	if (p->lingering && p->caller.greeted) {
		p->lingering = false;
		p->caller.usage->lingering--;
	}
}

/* --- events ------------------------------------------------------------ */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct peers *set = p->set;
	bool filled = false;

	(void)fd;
	(void)what;
	/* One buffer's worth at a time: nobody keeps the loop to himself. */
	if (peer_receive(p, &filled) > 0)
		peer_process(p, filled);
	peers_reap(set);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct peers *set = p->set;

	(void)fd;
	(void)what;
	peer_flush(p);
	if (!p->caller.gone && outbox_length(&p->out) == 0) {
		if (p->events_lost) {
			ttylock_Envelope e = {.which_body = ttylock_Envelope_event_tag};

			p->events_lost = false;
			e.body.event.kind = ttylock_EventKind_EVENT_LOST;
			peer_send(&p->caller, &e, BROKER_REPLY);
		}
		if (p->paused) {
			p->paused = false;
			event_add(&p->readable, NULL);
			peer_process(p, true);
		}
	}
	peers_reap(set);
}

/* Its process is dead, whoever may have inherited the socket. What it said
 * before still counts: a release followed by exit is a release. */
static void on_died(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct peers *set = p->set;
	bool filled;

	(void)fd;
	(void)what;
	p->caller.dying = true;
	peer_process(p, true);
	for (int i = 0; i < LAST_WORDS && !p->caller.gone && peer_receive(p, &filled) > 0; i++)
		peer_process(p, filled);
	peer_gone(p, "its process died");
	peers_reap(set);
}

/* Twice: when the grace is over, and at the deadline. */
static void on_greet(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval rest = {POLICY_GREET_DEADLINE_S - POLICY_GREET_GRACE_S, 0};
	struct peer *p = arg;
	struct peers *set = p->set;
	struct usage *usage = p->caller.usage;
	struct policy_case pc = {.uid = p->caller.cred.uid, .mine = usage->lingering};

	(void)fd;
	(void)what;
	if (p->lingering || policy_decide(POLICY_LINGER, &pc) != POLICY_ALLOW) {
		peer_gone(p, "has not said Hello");
	} else {
		p->lingering = true;
		usage->lingering++;
		event_add(&p->greet, &rest);
	}
	peers_reap(set);
}

/* --- the set ----------------------------------------------------------- */

void peers_init(struct peers *set, struct event_base *base, struct broker *broker,
    void (*freed)(void *arg), void *arg)
{
	*set = (struct peers){
	    .base = base,
	    .broker = broker,
	    .freed = freed,
	    .freed_arg = arg,
	};
}

static void freed_ignore(void *arg)
{
	(void)arg;
}

void peers_deinit(struct peers *set)
{
	set->freed = freed_ignore;
	for (struct peer *p = set->first; p; p = p->next)
		peer_gone(p, "we are ending");
	peers_reap(set);
}

int peers_add(struct peers *set, int sock, struct cred *cred, struct usage *usage)
{
	static const struct timeval grace = {POLICY_GREET_GRACE_S, 0};
	struct peer *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;

	event_assign(&p->readable, set->base, sock, EV_READ | EV_PERSIST, on_readable, p);
	event_assign(&p->writable, set->base, sock, EV_WRITE, on_writable, p);
	event_assign(&p->died, set->base, cred->pidfd, EV_READ, on_died, p);
	evtimer_assign(&p->greet, set->base, on_greet, p);
	if (event_add(&p->readable, NULL) < 0 || event_add(&p->died, NULL) < 0 ||
	    event_add(&p->greet, &grace) < 0) {
		event_del(&p->readable);
		event_del(&p->died);
		free(p);
		return -ENOMEM;
	}
	p->set = set;
	p->sock = sock;
	p->caller.id = ++set->last_id;
	p->caller.cred = *cred;
	p->caller.usage = usage_ref(usage);
	usage->connections++;
	cred->pidfd = -1;
	p->next = set->first;
	if (p->next)
		p->next->prev = p;
	set->first = p;
	set->count++;
	return 0;
}

void peers_each(const struct peers *set,
    bool (*fn)(const struct caller *c, size_t unsent, void *arg), void *arg)
{
	for (const struct peer *p = set->first; p; p = p->next)
		if (!p->caller.gone && !fn(&p->caller, outbox_length(&p->out), arg))
			return;
}
