/* steerer: a person at a second terminal who cancels, skips, serves first and releases by
 * force, whomever and whenever. */
#ifndef CHAOS_STEERER_H
#define CHAOS_STEERER_H

#include "board.h"

/* Never returns. Steers whatever the daemon lists, but for the requests of spared. */
__attribute__((noreturn)) void steerer_run(struct slot *slot, uint64_t random, pid_t spared);

/* Fails the run where what was tried often has hardly ever been done. */
void steerer_check(void);

#endif
