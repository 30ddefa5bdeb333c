/* anchor: a process that holds a terminal from the first to the last, whatever happens to
 * the daemon.
 */
#ifndef CHAOS_ANCHOR_H
#define CHAOS_ANCHOR_H

#include "board.h"

/* Never returns. */
__attribute__((noreturn)) void anchor_run(struct slot *slot, int tty, int terminal);

#endif
