/* span: the open requests of a trace, and where each is drawn: the terminal's
 * process and, in it, the row of the task that asks. Writes the names of both, and
 * nothing else. */
#ifndef TTYLOCK_SPAN_H
#define TTYLOCK_SPAN_H

#include <stdbool.h>

#include "frame.h"
#include "trace_file.h"

/* A terminal. */
struct place {
	struct place *next;
	int pid;
	char terminal[64];
	struct span *first;
	uint64_t flow; /* from a holder that has just ended to its successor; 0 */
};

/* Who asks: one task of one process at one terminal, so with one request at a
 * time. */
struct row {
	struct trace_row at;
	int64_t last;	   /* the time of the latest event in it */
	struct span *span; /* NULL: none is open */
	struct place *place;
	int pid, shown_pid;
	uint64_t task;
	char task_name[64], comm[32]; /* of the one that is shown */
};

struct span {
	uint64_t id;
	ttylock_Entry entry; /* as it was when it was asked, or first seen */
	uint64_t under;	     /* as entry.under, but of those that are open */
	struct row *row;
	struct span *next, *prev; /* at this terminal */
	bool holds;
	bool listed;
};

struct spans {
	struct trace_file *file;
	void *by_id, *rows; /* tsearch(3) */
	size_t row_count;
	int last_tid;
	struct place *places;
};

void spans_init(struct spans *all, struct trace_file *file);
/* All spans must have been removed. */
void spans_deinit(struct spans *all);

struct span *spans_find(const struct spans *all, uint64_t id);
/* The row of who has asked e. now: for the names of what is new. NULL: no memory. */
struct row *spans_row(struct spans *all, const ttylock_Entry *e, int64_t now);
/* In a row that has none. */
struct span *spans_add(struct spans *all, uint64_t id, const ttylock_Entry *e, struct row *row);
void spans_remove(struct spans *all, struct span *s);

/* Another user's requests have no number: all that hold a terminal are one, and
 * all that wait for it. Of an entry that is hidden: its stand-in. */
uint64_t spans_hidden(struct spans *all, const ttylock_Entry *e, ttylock_Entry *out, int64_t now);

/* Whether the end of this one, which holds, will let one that waits have the
 * terminal: not where it is below another, or on top of one that goes on. */
bool span_has_successor(const struct span *s);

#endif
