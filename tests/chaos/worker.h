/* worker: a process that asks for terminals in every way, and ends in every way. */
#ifndef CHAOS_WORKER_H
#define CHAOS_WORKER_H

#include "board.h"

/* Never returns. ttys: so many descriptors of terminals, which are nobody's
 * controlling ones. */
__attribute__((noreturn)) void worker_run(
    struct slot *slot, uint64_t random, const int *ttys, int count);

/* By a signal, as one who has a bug. */
void worker_crash(void) __attribute__((noreturn));

void worker_pause(unsigned us);

#endif
