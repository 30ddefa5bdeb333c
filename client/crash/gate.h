/*
 * The gate: a pipe by which the helper tells the process that its debugger comes ("A"), or, by its
 * end, that none does.
 */
#ifndef CRASH_GATE_H
#define CRASH_GATE_H

#include "spawn.h"

/* Start the helper. Returns our end of the gate, or -errno. Async-signal-safe; all signals are to
 * be blocked. */
int gate_open(const struct helper *helper, struct room *room, const struct errand *errand);

enum gate_news {
	GATE_NOTHING,
	GATE_ATTACHING,
	GATE_ENDED,
};

/* What there is to read from a gate that is readable. */
enum gate_news gate_read(int gate);

#endif
