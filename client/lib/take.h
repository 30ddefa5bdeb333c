/* take: the terminal for this very process: an interpreter of its own rather than a
 * debugger beside it. The rest is in ttylock.h.
 */
#ifndef TTYLOCK_TAKE_H
#define TTYLOCK_TAKE_H

#include "handle.h"

/* Gives the terminal back if the request took it. */
void take_give_back(struct ttylock *t, uint64_t id);

#endif
