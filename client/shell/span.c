#include "span.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dump/json.h"

/* Rows that are kept for a task that may ask again. */
#define ROWS_MAX 1024
#define HIDDEN	 (1ULL << 63)

static int compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order;

	if (x->place != y->place)
		return x->place->pid < y->place->pid ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->shown_pid != y->shown_pid)
		return x->shown_pid < y->shown_pid ? -1 : 1;
	if (x->task != y->task)
		return x->task < y->task ? -1 : 1;
	order = strcmp(x->task_name, y->task_name);
	return order ? order : strcmp(x->comm, y->comm);
}

void spans_init(struct spans *all, struct trace_file *file)
{
	*all = (struct spans){.file = file, .last_tid = 1};
}

void spans_deinit(struct spans *all)
{
	struct place *next;

	tdestroy(all->by_id, free);
	tdestroy(all->rows, free);
	for (struct place *p = all->places; p; p = next) {
		next = p->next;
		free(p);
	}
	*all = (struct spans){0};
}

static void put_name(
    struct spans *all, const char *what, struct trace_row at, const char *name, int64_t now)
{
	trace_file_put(
	    all->file, "M", what, at, now, json_pack("{s:{s:o}}", "args", "name", json_text(name)));
}

/* --- terminals -------------------------------------------------------------- */

static struct place *place_of(struct spans *all, const char *terminal, int64_t now)
{
	int pid = 1; /* the daemon's */

	for (struct place *p = all->places; p; p = p->next) {
		if (strcmp(p->terminal, terminal) == 0)
			return p;
		if (p->pid > pid)
			pid = p->pid;
	}
	struct place *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->pid = pid + 1;
	snprintf(p->terminal, sizeof(p->terminal), "%s", terminal);
	p->next = all->places;
	all->places = p;
	put_name(all, "process_name", (struct trace_row){p->pid, 0}, p->terminal, now);
	return p;
}

uint64_t spans_hidden(struct spans *all, const ttylock_Entry *e, ttylock_Entry *out, int64_t now)
{
	struct place *p = place_of(all, e->terminal, now);
	uint64_t waits = e->position != 0;

	*out = *e;
	out->task.id = waits;
	snprintf(out->comm, sizeof(out->comm), "another user");
	out->id = p ? HIDDEN | (uint64_t)p->pid << 1 | waits : HIDDEN;
	return out->id;
}

/* --- rows ------------------------------------------------------------------- */

static void name_row(struct spans *all, const struct row *r, int64_t now)
{
	char name[64];

	if (r->shown_pid)
		snprintf(name, sizeof(name), "%s (%d)", r->comm, r->shown_pid);
	else
		snprintf(name, sizeof(name), "%s", r->comm);
	put_name(all, "thread_name", r->at, name, now);
}

struct row *spans_row(struct spans *all, const ttylock_Entry *e, int64_t now)
{
	struct row *r = calloc(1, sizeof(*r));

	if (!r || !(r->place = place_of(all, e->terminal, now))) {
		free(r);
		return NULL;
	}
	r->pid = e->pid;
	r->shown_pid = e->subject_pid ? e->subject_pid : e->pid;
	r->task = e->task.id;
	snprintf(r->task_name, sizeof(r->task_name), "%s", e->task.name);
	snprintf(r->comm, sizeof(r->comm), "%s", e->subject_pid ? e->subject_comm : e->comm);
	struct row **found = tsearch(r, &all->rows, compare_rows);
	if (!found || *found != r) {
		free(r);
		return found ? *found : NULL;
	}
	all->row_count++;
	r->at = (struct trace_row){r->place->pid, ++all->last_tid};
	name_row(all, r, now);
	return r;
}

/* --- spans ------------------------------------------------------------------ */

struct span *spans_find(const struct spans *all, uint64_t id)
{
	struct span key = {.id = id};
	void *found = tfind(&key, &all->by_id, compare_spans);

	return found ? *(struct span **)found : NULL;
}

struct span *spans_add(struct spans *all, uint64_t id, const ttylock_Entry *e, struct row *row)
{
	struct span *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct span){.id = id, .entry = *e, .under = e->under, .row = row, .listed = true};
	if (!tsearch(s, &all->by_id, compare_spans)) {
		free(s);
		return NULL;
	}
	s->next = row->place->first;
	if (s->next)
		s->next->prev = s;
	row->place->first = s;
	row->span = s;
	return s;
}

/* Who was asked under it is now under what that was under. */
static void bequeath(const struct span *s)
{
	for (struct span *w = s->row->place->first; w; w = w->next)
		if (w->under == s->id)
			w->under = s->under;
}

void spans_remove(struct spans *all, struct span *s)
{
	struct row *r = s->row;

	if (s->holds)
		bequeath(s);
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		r->place->first = s->next;
	tdelete(s, &all->by_id, compare_spans);
	free(s);
	r->span = NULL;
	if (all->row_count > ROWS_MAX) {
		tdelete(r, &all->rows, compare_rows);
		free(r);
		all->row_count--;
	}
}

bool span_has_successor(const struct span *s)
{
	bool waits = false;

	for (const struct span *w = s->row->place->first; w; w = w->next) {
		if (w->holds && w->under == s->id)
			return false;
		waits = waits || (!w->holds && (w->under == s->id || w->under == s->under));
	}
	return waits;
}
