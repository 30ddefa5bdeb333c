/* waitgraph: whether a wish would make tasks wait for each other for ever.
 *
 * Pure, on the lock table's records. A task that waits is taken to go on only
 * when all that it waits for is granted, and to end nothing before that. So it
 * waits for every other task that stands before it in line for a terminal: for
 * the holders, and for the waiters as well. These would not matter if nobody
 * waited for two terminals at once (they wait for the same holders); but of two
 * tasks of which the first waits for X and Y, and the other holds Y and asks for
 * X behind it, neither is served ever again once the holder of X has ended.
 *
 * A hand-over changes nobody's place, so a circle can only come with a new request
 * or with one that is moved forward in line: refusing these is enough.
 */
#ifndef TTYLOCK_WAITGRAPH_H
#define TTYLOCK_WAITGRAPH_H

#include "records.h"

/* For a wish that is to stand in line for a known terminal, directly before
 * that request, or last (SLOT_NONE). It has no request there yet. */
bool waitgraph_closes(
    struct locktable *t, const struct locktable_wish *wish, uint32_t terminal, uint32_t before);

/* Whether the task of a request that was moved in line waits for itself now. */
bool waitgraph_has_circle(struct locktable *t, uint32_t slot);

#endif
