/* sender: what the daemon says to one connection: at once if the socket takes it,
 * else kept, counted for its user, and sent when there is room.
 *
 * Decides what may be left out for one that does not read. Never blocks, and ends
 * no connection: it says when that has to be done.
 */
#ifndef TTYLOCK_SENDER_H
#define TTYLOCK_SENDER_H

#include <event2/event.h>
#include <stdbool.h>

#include "outlet.h"
#include "outbox.h"
#include "usage.h"

struct sender {
	int sock;
	bool events_lost; /* some were left out: to be told */
	struct usage *usage;
	struct event_base *base;
	event_callback_fn on_writable;
	void *arg;
	struct event *writable; /* NULL while there was no need of it */
	struct outbox out;
	size_t bulk; /* long answers put into it since it was empty */
};

/* on_writable is called when there is room; it is to call sender_flush. */
void sender_init(struct sender *s, struct event_base *base, int sock, struct usage *usage,
    event_callback_fn on_writable, void *arg);
/* No more calls of on_writable. */
void sender_stop(struct sender *s);
/* A last attempt to send what there is, then forgets it. */
void sender_deinit(struct sender *s);

/* needed: this one must not be ended for not reading. 0; -ENOBUFS: it lets too
 * much lie; -ENOMEM, -EMSGSIZE, or -errno of send(2): it cannot be told. */
int sender_put(
    struct sender *s, const ttylock_Envelope *e, enum outlet_urgency urgency, bool needed);
/* 0 or as above. */
int sender_flush(struct sender *s);

size_t sender_unsent(const struct sender *s);
/* Whether it, or its user, has to read before it may ask for more. */
bool sender_lets_lie(const struct sender *s);

#endif
