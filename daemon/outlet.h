/* outlet: how a message gets to a caller. Queues and never blocks; it may mark a
 * caller gone but must not come back into the broker.
 */
#ifndef TTYLOCK_OUTLET_H
#define TTYLOCK_OUTLET_H

#include "ttylock.pb.h"

struct caller;

enum outlet_urgency {
	OUTLET_REPLY, /* must arrive */
	OUTLET_HINT,  /* may be dropped when the caller does not read */
	OUTLET_EVENT, /* may be dropped when the caller does not read; it is told */
	OUTLET_BULK,  /* part of a long answer: does not count as not reading */
};

struct outlet_ops {
	void (*send)(struct caller *c, const ttylock_Envelope *e, enum outlet_urgency urgency);
};

#endif
