#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KEEP_BYTES 4096u

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
		size_t cap = o->cap ? o->cap : KEEP_BYTES / 2;

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

int outbox_flush(struct outbox *o, int sock)
{
	while (o->start < o->end) {
		ssize_t n =
		    send(sock, o->data + o->start, o->end - o->start, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		o->start += (size_t)n;
	}
	o->start = o->end = 0;
	if (o->cap > KEEP_BYTES)
		outbox_deinit(o);
	return 0;
}
