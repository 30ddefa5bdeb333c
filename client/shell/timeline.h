/* timeline: what the daemon tells of requests, as events of a trace: for each
 * terminal a process, for each task that asks a row in it, on which it waits and
 * holds. Reads no clock and asks nobody. */
#ifndef TTYLOCK_TIMELINE_H
#define TTYLOCK_TIMELINE_H

#include "feed.h"
#include "span.h"
#include "trace_file.h"

struct timeline {
	struct trace_file *file;
	struct spans spans;  /* the requests that are open */
	const char *unknown; /* NULL; why requests may have ended without an event */
	bool met;	     /* a daemon */
	uint64_t last_flow;
};

/* now: microseconds of CLOCK_MONOTONIC, throughout. wall: the same moment in seconds
 * since 1970. */
void timeline_init(struct timeline *t, struct trace_file *file, int64_t now, double wall);
/* Ends what is open, saying that the trace ended there. */
void timeline_deinit(struct timeline *t, int64_t now);

/* Whether it takes a list to know what has become of it: of other users' requests
 * an event says too little. */
bool timeline_event(struct timeline *t, const ttylock_Event *event, int64_t now);
/* Of one moment, later than all events before it. */
void timeline_list(struct timeline *t, const struct listing *l, int64_t now);
void timeline_back(struct timeline *t, const struct greeting *daemon, int64_t now);
void timeline_lost(struct timeline *t, int64_t now);

#endif
