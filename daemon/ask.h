/* ask: from a LockRequest to what the broker locks for: is it in order, within its
 * user's quota, and what is to be known of it?
 */
#ifndef TTYLOCK_ASK_H
#define TTYLOCK_ASK_H

#include "broker_state.h"

/* Has the broker lock for it, or refuses it. */
void ask(struct broker *b, struct caller *c, const ttylock_LockRequest *r);

#endif
