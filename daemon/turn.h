/* turn: connections that are not read from until it is their turn: those that
 * sent much at once, and those of a user who is over his rate.
 *
 * Each user's wait in a line of their own, first come, first served, so that one
 * user's many are to the others as if he had one. Must not read or end any.
 */
#ifndef TTYLOCK_TURN_H
#define TTYLOCK_TURN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#include "usage.h"

/* Embedded in a connection. */
struct turn {
	struct usage *usage;
	struct turn *prev, *next; // usage's line
	bool waits;
};

struct turns {
	struct usages *usages;
	struct event tick; /* at once */
	struct event rest; /* every so often, while any waits */
	/* That connection's turn is now; it may wait for another at once. */
	void (*take)(struct turn *turn);
};

/* base and usages must outlive it. */
void turns_init(struct turns *set, struct event_base *base, struct usages *usages,
    void (*take)(struct turn *turn));
void turns_deinit(struct turns *set);

/* At the end of its user's line; nothing if it is there already. 0 or -ENOMEM. */
int turn_await(struct turns *set, struct turn *turn);
/* Out of it, if it is there. */
void turn_forget(struct turn *turn);

#endif
