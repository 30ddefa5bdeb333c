/* outbox: bytes that a connection has not taken yet. Never blocks.
 */
#ifndef TTYLOCK_OUTBOX_H
#define TTYLOCK_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

struct outbox {
	uint8_t *data;
	size_t start, end, cap;
};

static inline size_t outbox_length(const struct outbox *o)
{
	return o->end - o->start;
}

void outbox_deinit(struct outbox *o);

/* Room for size more bytes, to be filled and then counted in with
 * outbox_added; NULL when out of memory. */
uint8_t *outbox_room(struct outbox *o, size_t size);
void outbox_added(struct outbox *o, size_t size);

/* Sends these bytes if there are none before them, and adds what the socket does not
 * take now. 0, or as outbox_flush; -ENOMEM. */
int outbox_send(struct outbox *o, int sock, const uint8_t *bytes, size_t size);

/* Sends what the socket takes now. 0, or -errno when it takes nothing ever
 * again. An empty outbox keeps no memory. */
int outbox_flush(struct outbox *o, int sock);

#endif
