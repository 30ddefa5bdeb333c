#include "sender.h"

#include <errno.h>

#include "frame.h"

/* From here on events are left out, and the peer is not read from, until it has
 * read what there is. */
#define OUTBOX_SOFT (64u * 1024)
/* More than all statuses of a peer with very many requests: one that lets so
 * much lie and only waits is dropped. One that holds a terminal is kept, for it
 * may be stopped: what its requests can still bring is bounded by their number.
 * A long answer that it asked for does not count. */
#define OUTBOX_HARD (512u * 1024)

void sender_init(struct sender *s, struct event_base *base, int sock, struct usage *usage,
    event_callback_fn on_writable, void *arg)
{
	*s = (struct sender){
	    .sock = sock,
	    .usage = usage,
	    .base = base,
	    .on_writable = on_writable,
	    .arg = arg,
	};
}

void sender_stop(struct sender *s)
{
	if (s->writable)
		event_free(s->writable);
	s->writable = NULL;
}

void sender_deinit(struct sender *s)
{
	sender_stop(s);
	usage_unqueued(s->usage, outbox_length(&s->out));
	outbox_flush(&s->out, s->sock);
	outbox_deinit(&s->out);
}

size_t sender_unsent(const struct sender *s)
{
	return outbox_length(&s->out);
}

bool sender_lets_lie(const struct sender *s)
{
	size_t length = outbox_length(&s->out);

	return length > OUTBOX_SOFT || (length > 0 && usage_may_queue(s->usage) != POLICY_ALLOW);
}

/* After each attempt to send. */
static int await_room(struct sender *s)
{
	if (outbox_length(&s->out) == 0) {
		s->bulk = 0;
		return 0;
	}
	if (!s->writable)
		s->writable = event_new(s->base, s->sock, EV_WRITE, s->on_writable, s->arg);
	return s->writable && event_add(s->writable, NULL) == 0 ? 0 : -ENOMEM;
}

int sender_flush(struct sender *s)
{
	size_t before = outbox_length(&s->out);
	int rc = outbox_flush(&s->out, s->sock);

	usage_unqueued(s->usage, before - outbox_length(&s->out));
	return rc < 0 ? rc : await_room(s);
}

static int queue(struct sender *s, const ttylock_Envelope *e)
{
	uint8_t *room = outbox_room(&s->out, FRAME_MAX);
	ssize_t n = room ? frame_encode(e, room, FRAME_MAX) : -ENOMEM;

	if (n < 0)
		return (int)n;
	outbox_added(&s->out, (size_t)n);
	usage_queued(s->usage, (size_t)n);
	return 0;
}

/* With nothing before it, it goes straight through: only what the socket does not
 * take needs memory. */
static int send_now(struct sender *s, const ttylock_Envelope *e)
{
	uint8_t frame[FRAME_MAX];
	ssize_t size = frame_encode(e, frame, sizeof(frame));

	if (size < 0)
		return (int)size;
	int rc = outbox_send(&s->out, s->sock, frame, (size_t)size);
	if (rc < 0)
		return rc;
	usage_queued(s->usage, outbox_length(&s->out));
	return await_room(s);
}

static int put_bulk(struct sender *s, const ttylock_Envelope *e)
{
	size_t before = outbox_length(&s->out);
	int rc = queue(s, e);

	s->bulk += outbox_length(&s->out) - before;
	/* In large pieces: the kernel's buffer is the faster one. */
	if (rc == 0 && (outbox_length(&s->out) > OUTBOX_SOFT || e->body.status_report.last))
		rc = sender_flush(s);
	return rc;
}

int sender_put(
    struct sender *s, const ttylock_Envelope *e, enum outlet_urgency urgency, bool needed)
{
	switch (urgency) {
	case OUTLET_BULK:
		return put_bulk(s, e);
	case OUTLET_HINT:
		if (sender_lets_lie(s))
			return 0;
		break;
	case OUTLET_EVENT:
		if (s->events_lost || sender_lets_lie(s)) {
			s->events_lost = true;
			return 0;
		}
		break;
	case OUTLET_REPLY:
		break;
	}
	if (outbox_length(&s->out) > OUTBOX_HARD + s->bulk && !needed)
		return -ENOBUFS;
	if (outbox_length(&s->out) == 0)
		return send_now(s, e);
	int rc = queue(s, e);
	return rc < 0 ? rc : sender_flush(s);
}
