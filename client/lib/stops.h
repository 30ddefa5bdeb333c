/* stops: who of a process group was stopped while the terminal was somebody else's.
 *
 * Whoever reads from the background has its whole group stopped. When the terminal comes
 * back they go on; who had been stopped before stays so. Knows nothing of the terminal.
 */
#ifndef TTYLOCK_STOPS_H
#define TTYLOCK_STOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "census.h"

#define STOPS_MAX 64

struct stops {
	size_t count;
	pid_t before[STOPS_MAX];
};

/* Those that are stopped now are to stay so: but not whom a stop for being in the
 * background has reached too late, which is one for us. */
void stops_note(struct stops *s, pid_t pgrp, struct census *c);

/* Continues the others of the group, its foreground being back. disturbed: some were let
 * go just now, and may be on their way into a stop. */
void stops_end(const struct stops *s, pid_t pgrp, struct census *c, bool disturbed);

#endif
