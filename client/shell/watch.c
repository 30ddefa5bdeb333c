#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "../dump/json.h"
#include "../lib/deadline.h"
#include "command.h"
#include "entry_json.h"
#include "follow.h"
#include "screen.h"

#define RETRY_MS 200
#define AGE_MS	 1000 /* the ages on the screen grow */
#define REST_MS	 50   /* between two pictures, however fast things change */

/* --- lines ------------------------------------------------------------------ */

struct lines {
	struct watch *watch;
	int error;
};

static void put_line(struct lines *lines, const char *name, const ttylock_Event *e)
{
	json_t *event = json_of_event(name, e);

	if (json_print(stdout, event, JSON_COMPACT) < 0 || fflush(stdout) == EOF)
		lines->error = -EIO;
	json_decref(event);
}

static const char *event_name(ttylock_EventKind kind)
{
	switch (kind) {
	case ttylock_EventKind_EVENT_QUEUED:
		return "queued";
	case ttylock_EventKind_EVENT_GRANTED:
		return "granted";
	case ttylock_EventKind_EVENT_RELEASED:
		return "released";
	case ttylock_EventKind_EVENT_CANCELLED:
		return "cancelled";
	case ttylock_EventKind_EVENT_DIED:
		return "died";
	case ttylock_EventKind_EVENT_MOVED:
		return "moved";
	case ttylock_EventKind_EVENT_LOST:
		return "missed";
	default:
		return NULL;
	}
}

static int on_line_event(const ttylock_Event *event, void *arg)
{
	struct lines *lines = arg;
	const char *name = event_name(event->kind);
	struct listing_row row = {.entry = event->entry};

	if (name && (!event->has_entry || lines->watch->keep(&row, lines->watch->arg)))
		put_line(lines, name, event);
	return lines->error;
}

static int on_back(const struct greeting *daemon, void *arg)
{
	struct lines *lines = arg;

	(void)daemon;
	put_line(lines, "back", NULL);
	return lines->error;
}

static int on_lost(void *arg)
{
	struct lines *lines = arg;

	put_line(lines, "lost", NULL);
	return lines->error;
}

int watch_json(struct watch *w)
{
	struct lines lines = {.watch = w};
	struct follow f = {.on_back = on_back,
	    .on_lost = on_lost,
	    .on_event = on_line_event,
	    .arg = &lines,
	    .wake = -1,
	    .deadline = -1};

	int r = follow_run(&f);
	if (lines.error)
		return complain(EXIT_FAILED, "status: cannot write");
	return complain(EXIT_FAILED, "%s", open_error(r));
}

/* --- the screen ------------------------------------------------------------- */

static void on_screen_event(const ttylock_Event *event, void *arg)
{
	bool *changed = arg;

	(void)event;
	*changed = true;
}

static void put_title(
    FILE *out, const struct watch *w, const struct feed *f, const struct listing *l)
{
	char title[128];
	size_t holders = 0;

	for (size_t i = 0; i < l->count; i++)
		holders += l->rows[i].entry.position == 0;
	if (f->open)
		snprintf(title, sizeof(title), "ttylock: %zu %s, %zu %s; q leaves", holders,
		    holders == 1 ? "holds" : "hold", l->count - holders,
		    l->count - holders == 1 ? "waits" : "wait");
	else
		snprintf(title, sizeof(title),
		    "ttylock: no daemon runs, so no terminal is held; q leaves");
	put_harmless(out, title, w->columns.width);
	fputs("\n\n", out);
}

static void draw(struct watch *w, const struct feed *f, struct listing *l)
{
	unsigned height = screen_height();
	size_t rows = height > 5 ? height - 5 : 1, more = l->count > rows ? l->count - rows : 0;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	w->columns.width = screen_width();
	put_title(out, w, f, l);
	l->count -= more;
	if (l->count)
		columns_print(out, &w->columns, l);
	l->count += more;
	if (more)
		fprintf(out, "... and %zu more\n", more);
	fclose(out);
	screen_show(text);
	free(text);
}

static int look(struct watch *w, struct feed *f, bool *changed)
{
	struct listing l = {0};
	int r = 0;

	if (!f->open) {
		r = feed_open(f, 0);
		f->on_event = on_screen_event;
		f->arg = changed;
		if (r == 0)
			r = feed_watch(f);
	}
	if (r == 0)
		r = feed_list(f, &l, deadline_in(FEED_MS));
	*changed = false;
	if (r < 0 && r != -EINTR)
		feed_close(f);
	if (r == 0 || !f->open) {
		listing_keep(&l, w->keep, w->arg);
		draw(w, f, &l);
	}
	listing_free(&l);
	return r;
}

static int follow_screen(struct watch *w, struct screen *s)
{
	struct feed f = {0};
	bool changed = false;
	int r = 0;

	while (!screen_left(s) && (r == 0 || r == -EINTR || feed_is_absence(r))) {
		r = look(w, &f, &changed);
		screen_await(s, -1, f.open ? REST_MS : RETRY_MS);
		if (!f.open || screen_left(s))
			continue;
		feed_wait(&f, 0); /* what has been read already cannot be polled for */
		if (!changed)
			screen_await(s, f.channel.fd, AGE_MS);
		feed_wait(&f, 0);
	}
	feed_close(&f);
	return screen_left(s) ? 0 : r;
}

int watch_screen(struct watch *w)
{
	struct screen s;

	screen_enter(&s);
	int r = follow_screen(w, &s);
	screen_leave(&s);
	if (r < 0)
		return complain(EXIT_FAILED, "%s", open_error(r));
	int sig = screen_signal(&s);
	return sig == SIGINT ? EXIT_INTERRUPTED : sig ? EXIT_SIGNALLED + sig : 0;
}
