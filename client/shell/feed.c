#include "feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/deadline.h"
#include "../lib/request.h"

#define OPEN_MS 5000

int feed_open(struct feed *f, unsigned flags)
{
	struct addresses a;

	int r = addresses_find(&a);
	if (r == 0)
		r = greet_any(&f->channel, &a, flags, &f->greeting, deadline_in(OPEN_MS));
	f->open = r == 0;
	return r;
}

bool feed_is_absence(int error)
{
	return error == -ENOENT || error == -ECONNRESET || error == -ETIMEDOUT;
}

void feed_close(struct feed *f)
{
	if (f->open)
		channel_close(&f->channel);
	f->open = false;
}

/* What an answer says that is not the one that was asked for. */
static int refusal(const ttylock_Envelope *e)
{
	if (e->which_body == ttylock_Envelope_error_tag)
		return request_errno(e->body.error.code) ?: -EPROTO;
	return -EPROTO;
}

/* The next frame that is no event: 1; 0: none before the deadline; -errno. */
static int receive(struct feed *f, ttylock_Envelope *e, int64_t deadline)
{
	for (;;) {
		int r = channel_receive(&f->channel, e, deadline);
		if (r <= 0 || e->which_body != ttylock_Envelope_event_tag)
			return r;
		if (f->on_event)
			f->on_event(&e->body.event, f->arg);
	}
}

int feed_watch(struct feed *f)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_watch_tag;
	return channel_send(&f->channel, &e, -1, deadline_in(FEED_MS));
}

int feed_wait(struct feed *f, int64_t deadline)
{
	ttylock_Envelope e;
	int r = channel_receive(&f->channel, &e, deadline);

	/* What came with the first one is taken in at once. */
	while (r > 0) {
		if (e.which_body != ttylock_Envelope_event_tag)
			return refusal(&e);
		if (f->on_event)
			f->on_event(&e.body.event, f->arg);
		r = channel_receive(&f->channel, &e, 0);
	}
	return r;
}

static int listing_add(struct listing *l, const ttylock_Entry *e)
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct listing_row *rows = reallocarray(l->rows, room, sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		l->rows = rows;
		l->room = room;
	}
	const struct listing_row *last = l->count ? &l->rows[l->count - 1] : NULL;
	/* Of several holders the topmost is listed first. */
	bool below = last && e->position == 0 && strcmp(last->entry.terminal, e->terminal) == 0;
	l->rows[l->count++] = (struct listing_row){.entry = *e, .below = below};
	return 0;
}

int feed_list(struct feed *f, struct listing *out, int64_t deadline)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	const ttylock_StatusReport *report = &e.body.status_report;

	*out = (struct listing){0};
	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = ++f->queries;
	int r = channel_send(&f->channel, &e, -1, deadline);
	while (r == 0) {
		r = receive(f, &e, deadline);
		if (r <= 0)
			return r == 0 ? -ETIMEDOUT : r;
		if (e.which_body != ttylock_Envelope_status_report_tag)
			return refusal(&e);
		if (report->query != f->queries) /* of one that was broken off */
			r = 0;
		else if (report->last)
			return 0;
		else
			r = listing_add(out, &report->entry);
	}
	return r;
}

void listing_free(struct listing *l)
{
	free(l->rows);
	*l = (struct listing){0};
}

void listing_keep(
    struct listing *l, bool (*fn)(const struct listing_row *row, void *arg), void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (!fn(&l->rows[i], arg))
			continue;
		if (kept != i)
			l->rows[kept] = l->rows[i];
		kept++;
	}
	l->count = kept;
}

int feed_order(struct feed *f, enum feed_order order, uint64_t id)
{
	int64_t deadline = deadline_in(FEED_MS);
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	switch (order) {
	case FEED_CANCEL:
		e.which_body = ttylock_Envelope_lock_cancel_tag;
		e.body.lock_cancel.id = id;
		break;
	case FEED_RELEASE:
		e.which_body = ttylock_Envelope_force_release_tag;
		e.body.force_release.id = id;
		break;
	case FEED_FIRST:
		e.which_body = ttylock_Envelope_serve_first_tag;
		e.body.serve_first.id = id;
		break;
	}
	int r = channel_send(&f->channel, &e, -1, deadline);
	if (r == 0)
		r = receive(f, &e, deadline) ?: -ETIMEDOUT;
	if (r < 0)
		return r;
	return e.which_body == ttylock_Envelope_lock_status_tag ? 0 : refusal(&e);
}
