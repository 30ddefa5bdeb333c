/* dump: what every process of a forest is doing, as one JSON object.
 *
 *	{"version": 1, "time", "of": "process" | "tree" | "terminal", "pid" or
 *	 "terminal", "daemon_error"?, "processes": [PROCESS...]}
 *	PROCESS = {"pid", "ppid", "depth", "comm", "uid", "state",
 *	           "requests": [REQUEST...], "tracer": {"pid", "comm"}?,
 *	           "threads": [...] or "error"}
 *
 * Parents stand before their children; ppid is 0, depth 0, where the parent is
 * not in the dump. THREADS and "error" are process.h's, REQUEST is requests.h's.
 */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

#include <jansson.h>

#include "forest.h"

/* The processes of the forest; timeout_ms bounds the look at each. NULL: no
 * memory. The caller adds what it is a dump of. */
json_t *dump_take(const struct forest *f, int timeout_ms);

#endif
