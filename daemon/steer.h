/* steer: what somebody does to a request by the daemon's number, be it his own or one
 * that he may steer. Each is answered by a LockStatus or an Error.
 */
#ifndef TTYLOCK_STEER_H
#define TTYLOCK_STEER_H

#include <stdbool.h>

#include "broker_state.h"

/* Ends one that holds its terminal, or one that waits. */
void steer_end(struct broker *b, struct caller *c, uint64_t id, bool holder);

/* Has one that waits served before all others. */
void steer_serve_first(struct broker *b, struct caller *c, uint64_t id);

#endif
