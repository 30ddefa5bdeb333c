/* link: this process's connection to one daemon, shared by its threads.
 *
 * One link per process and socket, counted by the handles that use it, made
 * and torn down under one lock (links.c). Any thread may send (sending.c). The
 * threads that wait for an answer share the reading (hearing.c): one of them polls
 * the socket for all, and passes that on when its own answer has come. After fork()
 * the child has none: its copies of the sockets are closed, and it opens links of
 * its own.
 *
 * A link outlives its daemon (reconnect.c): it is down until the next one is
 * there, whom it then tells what it has. When none comes it is lost: so are all
 * its requests. So it is when a frame could not be sent to a daemon that is
 * there: it is shut down, so that the daemon does not go on believing what was to
 * be ended.
 */
#ifndef TTYLOCK_LINK_H
#define TTYLOCK_LINK_H

#include <pthread.h>
#include <stdbool.h>

#include "address.h"
#include "atfork.h"
#include "channel.h"
#include "outage.h"
#include "pollable.h"
#include "process.h"
#include "request.h"

/* How many terminals one connection can name (proto/ttylock.proto). */
#define LINK_TERMINALS 8

/* Beside the flags of ttylock_open(): not one of many who wait, but the one that
 * sees to it that there is a daemon. */
#define LINK_EAGER 0x100u

struct link {
	struct link *next; // links of this process
	unsigned users;	   /* guarded, as next, by the links' lock. 0: none, but the
			    * daemon is to be told of an end as soon as there is one */
	pid_t owner;
	bool inherited; /* a copy in a forked child, for its handles to be closed */
	char socket[ADDRESS_MAX];
	uint64_t tree; /* of our Hello */

	pthread_mutex_t lock; /* for all below */
	const void *forker;   /* the thread that has it while it forks */
	struct channel channel;
	struct requests requests;
	bool down;     /* atomic: the connection has broken */
	bool lost;     /* atomic: and no daemon comes back; the socket stays for those who poll */
	bool welcomed; /* atomic: by the daemon of this connection */
	bool starts;   /* where there is no daemon it starts one, there: */
	struct addresses where;
	bool launching; /* a thread does */
	struct outage outage;
	struct timespec made; /* in an outage: when the socket was, that was there last */
	struct pollable pollable;
	bool led;	/* a thread polls the socket, and this: */
	int stir;	/* an eventfd; see link_stir() */
	unsigned stirs; /* atomic: how often all were stirred */
	struct {
		unsigned users, device;
		int tty; /* a descriptor of our own, for the daemon that comes next */
	} terminals[LINK_TERMINALS];
	uint64_t asked; /* the last question */
	void (*on_event)(const ttylock_Event *event, void *arg);
	void *on_event_arg;
};

/* The link to the daemon, an existing one or a new one. flags as of
 * ttylock_open(), and its errors. */
int link_get(struct link **outp, unsigned flags);
/* Gives it back; the last one closes it. */
void link_put(struct link *l);

/* Whether it is any good: we are not a child, and the daemon lives, or may come
 * back. */
static inline bool link_is_alive(const struct link *l)
{
	return l->owner == process_id() && !__atomic_load_n(&l->lost, __ATOMIC_ACQUIRE);
}
/* Whether the daemon is there right now, as far as can be seen. */
bool link_is_up(const struct link *l);
/* The same of one that was lost: where a daemon is there by now it is alive again. */
bool link_revive(struct link *l);

/* Introduces the terminal of the descriptor and returns its number on this
 * connection; link_forget_terminal() gives it back. -EUSERS: too many. */
int link_add_terminal(struct link *l, int tty, unsigned device);
void link_forget_terminal(struct link *l, int terminal);

/* Adds a request of the handle and sends it, now or as soon as there is a daemon.
 * news: an eventfd to write to when its state changes, or -1. 0 and *idp; -ENOMEM;
 * as link_send(). */
int link_request(
    struct link *l, const ttylock_LockRequest *wish, const void *handle, int news, uint64_t *idp);

/* Forgets a request of the handle, as all below are; while it waits or holds, the
 * daemon is told. Where there is none, this waits for one until the deadline; and
 * tells it whenever it comes. The deadline may be DEADLINE_LATER. -ENOENT; -ECONNRESET:
 * there is none. */
int link_end_request(struct link *l, const void *handle, uint64_t id, int64_t deadline);

/* Takes a waiting request back but keeps it, as cancelled. */
void link_withdraw(struct link *l, const void *handle, uint64_t id);

/* Leaves with the daemon what a later holder needs; from here on the end of the request is
 * a release: what a dead holder left there, has been mended. -ENOENT; as link_send(). */
int link_save(struct link *l, const void *handle, uint64_t id, const uint8_t *saved, size_t len);

/* One of the handle's requests; 0: none. */
uint64_t link_request_of(struct link *l, const void *handle);

/* What waits for a request needs to know of it; error: of a refusal. 0, -ENOENT. */
int link_state(
    struct link *l, const void *handle, uint64_t id, enum ttylock_state *state, int *error);
/* Copies what is known of a request. 0, -ENOENT. */
int link_status(struct link *l, const void *handle, uint64_t id, struct ttylock_status *out);
int link_last(struct link *l, const void *handle, uint64_t id, ttylock_LockStatus *out);

/* Asks for events, of this daemon and each that follows; EVENT_LOST stands for
 * those in between. 0, -ECONNRESET. */
int link_watch(struct link *l, void (*fn)(const ttylock_Event *event, void *arg), void *arg);

/* Takes in what has come, without waiting, and tells who waits for it; connects
 * anew when it is time. How many frames; -ECONNRESET: all requests are lost. */
int link_drain(struct link *l);

/* Takes in what there is about a request that is granted; where the connection has
 * broken, waits for the next daemon's word whether it still is. */
void link_confirm(struct link *l, uint64_t id, int64_t deadline);

/* Waits until the request is no longer queued (0), the deadline (-ETIMEDOUT),
 * a signal handler has run (-EINTR), or all were stirred since stirs was got (-EAGAIN). */
int link_wait(struct link *l, uint64_t id, unsigned stirs, int64_t deadline);
/* To be got before looking at whatever somebody stirs for: then nothing is missed. */
unsigned link_stirs(const struct link *l);
/* All who wait look around; as does a 1 that is written to l->stir. Async-signal-safe. */
void link_stir(struct link *l);

/* Waits until wake is readable or link_drain() has something to do. 0;
 * -ETIMEDOUT, -EINTR. */
int link_poll(struct link *l, int wake, int64_t deadline);

/* The descriptor to poll for reading before link_drain(). -errno. */
int link_pollable(struct link *l);

/* A connection of one's own, for one question: connects to the link's daemon
 * and greets it. Close it by channel_close(). Errors as ttylock_open(). */
int link_connect_beside(const struct link *l, struct channel *c, int64_t deadline);

#endif
