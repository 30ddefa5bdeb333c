#include "peer.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "grace.h"
#include "inbox.h"
#include "log.h"
#include "policy.h"
#include "refusal.h"
#include "request.h"
#include "sender.h"
#include "sync_point.h"
#include "turn.h"

/* What the kernel keeps for a peer that does not read, out of our sight; it takes
 * twice that. */
#define KERNEL_BUFFER (32 * 1024)
/* Of what a dead process has left in its socket. */
#define LAST_WORDS 64

/* There may be as many as waiters: members stand so that there are no holes. */
struct peer {
	struct caller caller; // first: peer_of()
	struct peers *set;
	struct peer *prev, *next; // peers.first
	struct peer *next_dead;	  // peers.dead
	int sock;
	bool paused; /* not read from until the outbox is empty */
	struct event readable, died;
	struct grace *grace; // owns; NULL once it has said Hello
	struct turn turn;
	struct inbox in;
	struct sender out;
};

static struct peer *peer_of(struct caller *c)
{
	return (struct peer *)c;
}

/* --- death ------------------------------------------------------------- */

/* Marks it; peers_reap does the rest, at the end of this callback if that is a
 * peer's, else soon. */
static void peer_gone(struct peer *p, const char *why)
{
	if (p->caller.gone)
		return;
	event_active(&p->set->reap, EV_TIMEOUT, 1);
	log_debug("pid %d (%s), uid %u: %s", (int)p->caller.cred.pid, p->caller.cred.comm,
	    (unsigned)p->caller.cred.uid, why);
	p->caller.gone = true;
	event_del(&p->readable);
	event_del(&p->died);
	sender_stop(&p->out);
	grace_stop(p->grace);
	turn_forget(&p->turn);
	p->next_dead = p->set->dead;
	p->set->dead = p;
}

/* It has itself to blame. */
static void peer_expel(struct peer *p, const char *why)
{
	if (!p->caller.gone)
		refusal_log(&p->caller, why);
	peer_gone(p, why);
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
	grace_free(p->grace);
	sender_deinit(&p->out);
	inbox_deinit(&p->in);
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

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	peers_reap(arg);
}

/* --- sending ----------------------------------------------------------- */

static void peer_unsendable(struct peer *p, int error)
{
	if (error == -ENOBUFS) {
		peer_expel(p, "does not read");
	} else if (error == -ENOMEM || error == -EMSGSIZE) {
		errno = -error;
		log_warn("cannot send a message to pid %d", (int)p->caller.cred.pid);
		peer_gone(p, "cannot be answered");
	} else {
		peer_gone(p, "cannot be written to");
	}
}

static void peer_send(struct caller *c, const ttylock_Envelope *e, enum outlet_urgency urgency)
{
	struct peer *p = peer_of(c);
	int rc = c->gone ? 0 : sender_put(&p->out, e, urgency, c->holds > 0);

	if (rc < 0)
		peer_unsendable(p, rc);
}

const struct outlet_ops peer_ops = {.send = peer_send};

/* --- receiving --------------------------------------------------------- */

/* Not read from until its turn. */
static void peer_await_turn(struct peer *p)
{
	event_del(&p->readable);
	if (turn_await(&p->set->turns, &p->turn) < 0)
		peer_gone(p, "cannot be listened to: out of memory");
}

static void frame_handle(struct peer *p, size_t at, const ttylock_Envelope *e)
{
	struct caller *c = &p->caller;
	bool greeted = c->greeted;

	if ((c->proof_pending && at >= p->in.proof_end &&
		e->which_body != ttylock_Envelope_terminal_open_tag) ||
	    request_handle(p->set->broker, c, e) < 0)
		peer_expel(p, "sent what it may not");
	if (!greeted && c->greeted) {
		grace_free(p->grace);
		p->grace = NULL;
	}
}

/* Handles the whole frames in the inbox, as long as it is the peer's turn and
 * it reads the answers. Returns how many bytes they took. */
static size_t frames_handle(struct peer *p, uint64_t now)
{
	struct caller *c = &p->caller;
	uint32_t cost = 0;
	size_t at = 0;

	while (!c->gone && at < p->in.length) {
		ttylock_Envelope e;
		ssize_t n = frame_decode(p->in.bytes + at, p->in.length - at, &e);

		if (n == 0)
			break;
		if (n < 0) {
			peer_expel(
			    p, n == -EMSGSIZE ? "sent a frame too long" : "sent a bad frame");
			break;
		}
		if (!c->dying && sender_lets_lie(&p->out)) {
			p->paused = true;
			break;
		}
		if (!c->dying && cost >= POLICY_TURN) {
			peer_await_turn(p);
			break;
		}
		cost += request_cost(p->set->broker, &e);
		frame_handle(p, at, &e);
		at += (size_t)n;
	}
	/* Half a frame is not for nothing either. */
	usage_talked(c->usage, now, cost ? cost : 1);
	return at;
}

static void peer_process(struct peer *p, uint64_t now)
{
	if (inbox_took(&p->in, frames_handle(p, now)) < 0)
		peer_gone(p, "cannot be listened to: out of memory");
	if (p->caller.gone)
		return;
	if (p->caller.proof_pending && p->in.length == 0 && !p->in.filled)
		peer_expel(p, "sent a descriptor with no terminal");
	else if (p->paused)
		event_del(&p->readable);
}

/* False when there is nothing more, now or ever. */
static bool peer_receive(struct peer *p)
{
	int rc = inbox_receive(&p->in, p->sock, &p->caller);

	if (rc == -EPROTO)
		peer_expel(p, "sent a descriptor too many");
	else if (rc < 0)
		peer_gone(p, rc == -EPIPE ? "closed its connection" : "connection broken");
	return rc > 0;
}

/* --- events ------------------------------------------------------------ */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct peers *set = p->set;
	uint64_t now = clock_ms();

	(void)fd;
	(void)what;
	/* One buffer's worth at a time: nobody keeps the loop to himself. */
	if (!usage_may_talk(p->caller.usage, now))
		peer_await_turn(p);
	else if (peer_receive(p))
		peer_process(p, now);
	peers_reap(set);
}

/* What it sent before first: only then is there room for more. */
static void on_turn(struct turn *turn)
{
	struct peer *p = (struct peer *)((char *)turn - offsetof(struct peer, turn));
	struct peers *set = p->set;

	peer_process(p, clock_ms());
	if (!p->caller.gone && !p->paused && !p->turn.waits) {
		if (event_add(&p->readable, NULL) < 0)
			peer_await_turn(p); /* then it may be possible */
		else if (peer_receive(p))
			peer_process(p, clock_ms());
	}
	peers_reap(set);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct peers *set = p->set;

	(void)fd;
	(void)what;
	int rc = sender_flush(&p->out);
	if (rc < 0)
		peer_unsendable(p, rc);
	if (!p->caller.gone && sender_unsent(&p->out) == 0) {
		if (p->out.events_lost) {
			ttylock_Envelope e = {.which_body = ttylock_Envelope_event_tag};

			p->out.events_lost = false;
			e.body.event.kind = ttylock_EventKind_EVENT_LOST;
			peer_send(&p->caller, &e, OUTLET_REPLY);
		}
		if (p->paused) {
			p->paused = false;
			peer_await_turn(p);
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
	uint64_t now = clock_ms();

	(void)fd;
	(void)what;
	p->caller.dying = true;
	peer_process(p, now);
	for (int i = 0; i < LAST_WORDS && !p->caller.gone && peer_receive(p); i++)
		peer_process(p, now);
	peer_gone(p, "its process died");
	peers_reap(set);
}

static void on_grace(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct peers *set = p->set;

	(void)fd;
	(void)what;
	/* It may have said Hello where we did not listen. */
	if (!p->turn.waits && !grace_goes_on(p->grace))
		peer_expel(p, "has not said Hello");
	peers_reap(set);
}

/* --- the set ----------------------------------------------------------- */

void peers_init(struct peers *set, struct event_base *base, struct broker *broker,
    struct usages *usages, void (*freed)(void *arg), void *arg)
{
	*set = (struct peers){
	    .base = base,
	    .broker = broker,
	    .freed = freed,
	    .freed_arg = arg,
	};
	turns_init(&set->turns, base, usages, on_turn);
	evtimer_assign(&set->reap, base, on_reap, set);
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
	event_del(&set->reap);
	turns_deinit(&set->turns);
}

int peers_add(struct peers *set, int sock, struct cred *cred, struct usage *usage)
{
	struct peer *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;

	setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &(int){KERNEL_BUFFER}, sizeof(int));
	event_assign(&p->readable, set->base, sock, EV_READ | EV_PERSIST, on_readable, p);
	event_assign(&p->died, set->base, cred->pidfd, EV_READ, on_died, p);
	p->grace = grace_new(set->base, usage, on_grace, p);
	if (!p->grace || event_add(&p->readable, NULL) < 0 || event_add(&p->died, NULL) < 0) {
		event_del(&p->readable);
		event_del(&p->died);
		grace_free(p->grace);
		free(p);
		return -ENOMEM;
	}
	p->set = set;
	p->sock = sock;
	sender_init(&p->out, set->base, sock, usage, on_writable, p);
	p->caller.id = ++set->last_id;
	p->caller.cred = *cred;
	p->caller.usage = p->turn.usage = usage_ref(usage);
	usage->connections++;
	usage_talked(usage, clock_ms(), POLICY_COST_CONNECT);
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
		if (!p->caller.gone && !fn(&p->caller, sender_unsent(&p->out), arg))
			return;
}
