#include "timeline.h"

#include <string.h>

#include "../dump/json.h"
#include "../dump/requests.h"

/* The daemon's own row: what is about all terminals stands there. */
static const struct trace_row daemon_row = {1, 1};

/* --- one event -------------------------------------------------------------- */

static json_t *args_of(const struct span *s)
{
	const ttylock_Entry *e = &s->entry;

	if (e->hidden)
		return json_pack("{s:b}", "hidden", 1);
	json_t *args = json_pack("{s:I, s:i, s:o, s:I, s:{s:o, s:I}, s:s, s:o}", "id",
	    (json_int_t)e->id, "pid", (int)e->pid, "comm", json_text(e->comm), "uid",
	    (json_int_t)e->uid, "task", "name", json_text(e->task.name), "id",
	    (json_int_t)e->task.id, "reason", reason_name(e->reason), "text", json_text(e->text));
	if (e->subject_pid)
		json_object_update_new(
		    args, json_pack("{s:i, s:o}", "subject_pid", (int)e->subject_pid,
			      "subject_comm", json_text(e->subject_comm)));
	if (e->under)
		json_object_set_new(args, "under", json_integer((json_int_t)e->under));
	return args;
}

/* In the row's order of time, whatever the ages that we were told. */
static void put(struct timeline *t, const char *phase, const char *name, struct row *r, int64_t ts,
    json_t *more)
{
	if (ts < r->last)
		ts = r->last;
	r->last = ts;
	trace_file_put(t->file, phase, name, r->at, ts, more);
}

static void put_instant(
    struct timeline *t, const char *name, struct span *s, int64_t now, json_t *args)
{
	put(t, "i", name, s->row, now, json_pack("{s:s, s:o}", "s", "t", "args", args));
}

static void put_of_daemon(struct timeline *t, const char *name, int64_t now, json_t *args)
{
	trace_file_put(
	    t->file, "i", name, daemon_row, now, json_pack("{s:s, s:o}", "s", "g", "args", args));
}

static const char *name_of(const struct span *s)
{
	return s->holds ? "holds" : "waits";
}

static void begin(struct timeline *t, struct span *s, int64_t ts, bool before)
{
	json_t *args = args_of(s);

	/* When it was granted is not known. */
	if (before && s->holds && !s->entry.hidden)
		json_object_set_new(args, "before", json_true());
	put(t, "B", name_of(s), s->row, ts, json_pack("{s:o}", "args", args));
}

static void end(struct timeline *t, struct span *s, int64_t now, const char *how)
{
	put(t, "E", name_of(s), s->row, now, json_pack("{s:{s:s}}", "args", "ended", how));
}

/* An arrow from one holder to the next: inside both of them. */
static void put_flow(struct timeline *t, const char *phase, struct span *s, int64_t now)
{
	put(t, phase, "hand-over", s->row, now,
	    json_pack("{s:I, s:s}", "id", (json_int_t)s->row->place->flow, "bp", "e"));
}

/* --- requests --------------------------------------------------------------- */

static void close_span(struct timeline *t, struct span *s, int64_t now, const char *how)
{
	struct place *place = s->row->place;

	if (s->holds)
		place->flow = 0;
	if (s->holds && !s->entry.hidden && span_has_successor(s)) {
		place->flow = ++t->last_flow;
		put_flow(t, "s", s, now);
	}
	end(t, s, now, how);
	spans_remove(&t->spans, s);
}

/* Without an event for it. */
static void close_unseen(struct timeline *t, struct span *s, int64_t now)
{
	char how[64];

	if (t->unknown && !s->entry.hidden)
		snprintf(how, sizeof(how), "unknown: %s", t->unknown);
	else
		snprintf(how, sizeof(how), "%s", "ended");
	s->row->place->flow = 0;
	end(t, s, now, how);
	spans_remove(&t->spans, s);
}

/* ts: since when; it holds or waits from the first. before: we were not there. */
static void open_span(
    struct timeline *t, const ttylock_Entry *e, bool holds, int64_t ts, int64_t now, bool before)
{
	struct row *row = spans_row(&t->spans, e, now);

	if (row && row->span)
		close_unseen(t, row->span, now);
	struct span *s = row ? spans_add(&t->spans, e->id, e, row) : NULL;
	if (!s)
		return;
	s->holds = holds;
	begin(t, s, ts, before);
}

static void grant(struct timeline *t, struct span *s, int64_t now)
{
	end(t, s, now, "granted");
	s->holds = true;
	begin(t, s, now, false);
	if (s->row->place->flow)
		put_flow(t, "f", s, now);
	s->row->place->flow = 0;
}

/* A daemon that knows nothing of its predecessor counts from 1 again. */
static struct span *find(struct timeline *t, const ttylock_Entry *e, int64_t now)
{
	struct span *s = spans_find(&t->spans, e->id);

	if (!s || (s->entry.pid == e->pid && s->entry.task.id == e->task.id &&
		      !strcmp(s->row->place->terminal, e->terminal)))
		return s;
	close_unseen(t, s, now);
	return NULL;
}

/* --- what the daemon tells -------------------------------------------------- */

static void request_began(
    struct timeline *t, const ttylock_Entry *e, struct span *s, bool holds, int64_t now)
{
	if (!s)
		open_span(t, e, holds, now, now, false);
	else if (holds && !s->holds)
		grant(t, s, now);
}

static void request_ended(
    struct timeline *t, const ttylock_Event *event, struct span *s, int64_t now)
{
	char how[128];

	if (event->kind == ttylock_EventKind_EVENT_DIED) {
		put_instant(t, "died", s, now, args_of(s));
		snprintf(how, sizeof(how), "died");
	} else if (*event->by) {
		json_t *args = args_of(s);
		json_object_set_new(args, "by", json_text(event->by));
		put_instant(t, s->holds ? "forced release" : "forced cancel", s, now, args);
		snprintf(
		    how, sizeof(how), "%s by %s", s->holds ? "released" : "cancelled", event->by);
	} else {
		snprintf(how, sizeof(how), "%s", s->holds ? "released" : "cancelled");
	}
	close_span(t, s, now, how);
}

bool timeline_event(struct timeline *t, const ttylock_Event *event, int64_t now)
{
	const ttylock_Entry *e = &event->entry;

	if (event->kind == ttylock_EventKind_EVENT_LOST) {
		put_of_daemon(t, "events missed", now, json_object());
		t->unknown = "events were missed";
		return false; /* whoever missed them asks anyway */
	}
	if (!event->has_entry)
		return false;
	if (e->hidden)
		return true;
	struct span *s = find(t, e, now);
	switch (event->kind) {
	case ttylock_EventKind_EVENT_QUEUED:
		request_began(t, e, s, false, now);
		break;
	case ttylock_EventKind_EVENT_GRANTED:
		request_began(t, e, s, true, now);
		break;
	case ttylock_EventKind_EVENT_MOVED:
		if (s)
			put_instant(
			    t, "moved", s, now, json_pack("{s:i}", "position", (int)e->position));
		break;
	case ttylock_EventKind_EVENT_RELEASED:
	case ttylock_EventKind_EVENT_CANCELLED:
	case ttylock_EventKind_EVENT_DIED:
		if (s)
			request_ended(t, event, s, now);
		break;
	default:
		break;
	}
	return false;
}

static void take_row(struct timeline *t, const ttylock_Entry *listed, int64_t now)
{
	ttylock_Entry e = *listed;
	bool holds = e.position == 0;

	if (e.hidden)
		spans_hidden(&t->spans, listed, &e, now);
	struct span *s = find(t, &e, now);
	if (s && s->holds && !holds) {
		close_unseen(t, s, now);
		s = NULL;
	}
	if (!s)
		open_span(t, &e, holds, holds || e.hidden ? now : now - (int64_t)e.age_ms * 1000,
		    now, true);
	else if (holds && !s->holds)
		grant(t, s, now);
	s = spans_find(&t->spans, e.id);
	if (s)
		s->listed = true;
}

static void each_span(
    struct timeline *t, void (*fn)(struct timeline *t, struct span *s, int64_t now), int64_t now)
{
	for (struct place *p = t->spans.places; p; p = p->next) {
		struct span *next;
		for (struct span *s = p->first; s; s = next) {
			next = s->next;
			fn(t, s, now);
		}
	}
}

static void unlist(struct timeline *t, struct span *s, int64_t now)
{
	(void)t, (void)now;
	s->listed = false;
}

static void close_unlisted(struct timeline *t, struct span *s, int64_t now)
{
	if (!s->listed)
		close_unseen(t, s, now);
}

static void close_open(struct timeline *t, struct span *s, int64_t now)
{
	end(t, s, now, "open: the trace ended");
	spans_remove(&t->spans, s);
}

void timeline_list(struct timeline *t, const struct listing *l, int64_t now)
{
	each_span(t, unlist, now);
	for (size_t i = 0; i < l->count; i++)
		take_row(t, &l->rows[i].entry, now);
	each_span(t, close_unlisted, now);
	t->unknown = NULL;
}

void timeline_back(struct timeline *t, const struct greeting *daemon, int64_t now)
{
	put_of_daemon(t, t->met ? "daemon back" : "daemon found", now,
	    json_pack("{s:i, s:o, s:f}", "pid", (int)daemon->welcome.daemon_pid, "socket",
		json_text(daemon->socket), "uptime_s", (double)daemon->welcome.uptime_ms / 1000));
	t->met = true;
}

void timeline_lost(struct timeline *t, int64_t now)
{
	put_of_daemon(t, t->met ? "daemon lost" : "no daemon", now, json_object());
	t->unknown = "the daemon was gone";
}

/* --- begin and end ---------------------------------------------------------- */

void timeline_init(struct timeline *t, struct trace_file *file, int64_t now, double wall)
{
	*t = (struct timeline){.file = file};
	spans_init(&t->spans, file);
	trace_file_put(file, "M", "process_name", daemon_row, now,
	    json_pack("{s:{s:s}}", "args", "name", "ttylockd"));
	trace_file_put(file, "M", "thread_name", daemon_row, now,
	    json_pack("{s:{s:s}}", "args", "name", "the daemon"));
	put_of_daemon(t, "trace begins", now,
	    json_pack("{s:f, s:s}", "time", wall, "ttylock", TTYLOCK_VERSION));
}

void timeline_deinit(struct timeline *t, int64_t now)
{
	each_span(t, close_open, now);
	put_of_daemon(t, "trace ends", now, json_object());
	spans_deinit(&t->spans);
}
