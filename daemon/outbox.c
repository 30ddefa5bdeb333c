#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_BYTES 2048u

void outbox_deinit(struct outbox *o)
{
	free(o->data);
	*o = (struct outbox){0};
}

uint8_t *outbox_room(struct outbox *o, size_t size)
{
	size_t length = outbox_length(o);

	/* Moving is worth it only once half of it is behind us. */
	if (o->cap - o->end < size && o->start >= o->cap / 2 && o->start > 0) {
		memmove(o->data, o->data + o->start, length);
		o->start = 0;
		o->end = length;
	}
	if (o->cap - o->end < size) {
		size_t cap = o->cap ? o->cap : FIRST_BYTES;

		while (cap - o->end < size)
			cap *= 2;
		uint8_t *data = realloc(o->data, cap);
		if (!data)
			return NULL;
		o->data = data;
		o->cap = cap;
	}
	return o->data + o->end;
}

void outbox_added(struct outbox *o, size_t size)
{
	o->end += size;
}

/* How many bytes the socket took, 0 when it takes none now, or the kernel has no memory
 * for them, or -errno. */
static ssize_t send_some(int sock, const uint8_t *bytes, size_t size)
{
	for (;;) {
		ssize_t n = send(sock, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			return n;
		if (errno != EINTR)
			return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ||
				       errno == ENOMEM
				   ? 0
				   : -errno;
	}
}

int outbox_send(struct outbox *o, int sock, const uint8_t *bytes, size_t size)
{
	ssize_t n = outbox_length(o) > 0 ? 0 : send_some(sock, bytes, size);

	if (n < 0)
		return (int)n;
	size_t rest = size - (size_t)n;
	if (rest == 0)
		return 0;
	uint8_t *room = outbox_room(o, rest);
	if (!room)
		return -ENOMEM;
	memcpy(room, bytes + n, rest);
	outbox_added(o, rest);
	return 0;
}

int outbox_flush(struct outbox *o, int sock)
{
	while (o->start < o->end) {
		ssize_t n = send_some(sock, o->data + o->start, o->end - o->start);

		if (n <= 0)
			return (int)n;
		o->start += (size_t)n;
	}
	outbox_deinit(o);
	return 0;
}
