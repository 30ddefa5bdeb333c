/* grace: how long a connection that does not say Hello is put up with. After the first
 * grace it counts as lingering, of which each user may have a few.
 */
#ifndef TTYLOCK_GRACE_H
#define TTYLOCK_GRACE_H

#include <event2/event.h>
#include <stdbool.h>

#include "usage.h"

struct grace;

/* Calls fn each time that one is over. base and usage must outlive it. NULL: out of
 * memory. */
struct grace *grace_new(
    struct event_base *base, struct usage *usage, event_callback_fn fn, void *arg);

/* One is over: whether there is another one. */
bool grace_goes_on(struct grace *g);

/* fn is not called any more. NULL is none. */
void grace_stop(struct grace *g);
void grace_free(struct grace *g);

#endif
