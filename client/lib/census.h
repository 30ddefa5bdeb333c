/* census: the processes of a group, looked for several times within a moment.
 *
 * To have all processes of the machine listed takes the kernel long. It is done once;
 * who has come since is among the numbers that were given out since. After a second,
 * or where that cannot be told, all are listed anew.
 */
#ifndef TTYLOCK_CENSUS_H
#define TTYLOCK_CENSUS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Start from zero. */
struct census {
	pid_t *pids; // owns
	size_t count, room;
	pid_t last;    /* given out, when they were listed */
	int64_t taken; /* ms */
};

/* Calls fn for each other process of the group, be it a zombie, until it returns non-zero, and
 * returns that, else 0. */
int census_each_of_group(struct census *c, pid_t pgrp, int (*fn)(pid_t pid, void *arg), void *arg);

void census_forget(struct census *c);

#endif
