/* trace_file: a file of Chrome trace events: a JSON array, one event a line.
 *
 * What stands in it can be opened at any moment, also when we are killed: each
 * event is one write, and that format lets the closing bracket be missing. Knows
 * nothing of requests. */
#ifndef TTYLOCK_TRACE_FILE_H
#define TTYLOCK_TRACE_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A row in the picture: a thread of a process, as the format calls them. */
struct trace_row {
	int pid, tid;
};

struct trace_file {
	int fd;
	bool any;  /* an event is in it */
	int error; /* -errno: of the first write that failed; nothing is written after it */
};

/* Takes the descriptor, empty, and begins. */
void trace_file_begin(struct trace_file *f, int fd);
/* Ends the array and closes the descriptor: 0, or the -errno of the first failure. */
int trace_file_end(struct trace_file *f);

/* One event. phase: "B", "E", "i", "s", "f", "M". ts: in microseconds. more: an
 * object with what else stands in it, such as {"args": {...}}; taken; NULL. */
void trace_file_put(struct trace_file *f, const char *phase, const char *name, struct trace_row row,
    int64_t ts, json_t *more);

#endif
