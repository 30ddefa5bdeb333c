/* link: this process's connection to one daemon, shared by its threads.
 *
 * One link per process and socket, counted by the handles that use it, made
 * and torn down under one lock. Any thread may send. The threads that wait
 * for an answer share the reading: one of them polls the socket for all, and
 * passes that on when its own answer has come. After fork() the child has
 * none: its copies of the sockets are closed, and it opens links of its own.
 *
 * A link on which a frame could not be sent is lost: it is shut down, so that
 * the daemon does not go on believing what was to be ended.
 */
#ifndef TTYLOCK_LINK_H
#define TTYLOCK_LINK_H

#include <pthread.h>
#include <stdbool.h>

#include "address.h"
#include "channel.h"
#include "request.h"

/* How many terminals one connection can name (proto/ttylock.proto). */
#define LINK_TERMINALS 8

struct link {
	struct link *next; // links of this process
	unsigned users;	   // guarded, as next, by the links' lock
	pid_t owner;
	bool inherited; /* a copy in a forked child, for its handles to be closed */
	char socket[ADDRESS_MAX];
	int32_t daemon_pid;
	uint64_t uptime_ms;

	pthread_mutex_t lock; /* for all below */
	struct channel channel;
	struct requests requests;
	bool lost; /* atomic: of no more use; the socket stays for those who poll it */
	bool led;  /* a thread polls the socket */
	int nudge; /* an eventfd: that thread should look again */
	struct {
		unsigned users, device;
	} terminals[LINK_TERMINALS];
	void (*on_event)(const ttylock_Event *event, void *arg);
	void *on_event_arg;
};

/* The link to the daemon, an existing one or a new one. flags as of
 * ttylock_open(), and its errors. */
int link_get(struct link **outp, unsigned flags);
/* Gives it back; the last one closes it. */
void link_put(struct link *l);

/* Whether it can still be used: the daemon lives and we are not a child. */
bool link_is_alive(const struct link *l);

/* Introduces the terminal of the descriptor and returns its number on this
 * connection; link_forget_terminal() gives it back. -EUSERS: too many. */
int link_add_terminal(struct link *l, int tty, unsigned device);
void link_forget_terminal(struct link *l, int terminal);

/* Adds a request of the handle and sends it, a LockRequest that is complete but
 * for its number. news: an eventfd to write to when its state changes, or -1.
 * 0 and *idp; -ENOMEM; as link_send(). */
int link_request(struct link *l, ttylock_Envelope *e, const void *handle, int news, uint64_t *idp);

/* Forgets a request of the handle, as all below are; while it waits or holds, e is sent to end it.
 * -ENOENT; -ECONNRESET: it was lost. */
int link_end_request(struct link *l, const void *handle, uint64_t id, const ttylock_Envelope *e);

/* Takes a waiting request back but keeps it, as cancelled. */
void link_withdraw(struct link *l, const void *handle, uint64_t id);

/* One of the handle's requests; 0: none. */
uint64_t link_request_of(struct link *l, const void *handle);

/* Copies what is known of a request. 0, -ENOENT. */
int link_status(struct link *l, const void *handle, uint64_t id, struct ttylock_status *out);
int link_last(struct link *l, const void *handle, uint64_t id, ttylock_LockStatus *out);

/* Sends a frame. 0, -ECONNRESET, -EINVAL. */
int link_send(struct link *l, const ttylock_Envelope *e);

/* Takes in what has come, without waiting, and tells who waits for it.
 * How many frames; -ECONNRESET: all requests are lost. */
int link_drain(struct link *l);

/* Waits until the request is no longer queued (0), the deadline (-ETIMEDOUT),
 * a signal handler has run (-EINTR), or the eventfd wake is readable (-EAGAIN). */
int link_wait(struct link *l, uint64_t id, int wake, int64_t deadline);

/* A connection of one's own, for one question: connects to the link's daemon
 * and greets it. Close it by channel_close(). Errors as ttylock_open(). */
int link_connect_beside(const struct link *l, struct channel *c, int64_t deadline);

#endif
