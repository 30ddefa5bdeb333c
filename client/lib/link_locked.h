/* What the parts of a link have of each other; its lock is held.
 *
 * Three of them call each other in a circle, which ends by itself: a frame that cannot
 * be sent (sending.c) breaks the connection (reconnect.c), what has come before that is
 * still taken in (hearing.c), and what that wants to be sent finds it down.
 */
#ifndef TTYLOCK_LINK_LOCKED_H
#define TTYLOCK_LINK_LOCKED_H

#include "link.h"

/* What is added to l->stir for the thread that polls it alone: that is more than all
 * who are to be stirred can add. */
#define LINK_NUDGE (UINT64_C(1) << 32)

/* How long a frame may take to leave. */
#define LINK_SEND_MS 2000

/* --- sending.c */

/* Whoever waits for one of its requests looks again. q may be NULL. */
void link_tell(struct link *l, const struct request *q);
/* Sends one frame. 0, -EINVAL; -ECONNRESET: it is down, or lost. */
int link_send(struct link *l, const ttylock_Envelope *e, int passed);
/* What could not be sent for want of a daemon is no error: the next one is told. */
int link_later(const struct link *l, int r);
/* Asks for a request under a new number, which is in *e then. */
void link_number(struct link *l, struct request *q, ttylock_Envelope *e);
/* What tells of a request's end: a release, if it has begun with the terminal. */
void link_end(const struct request *q, ttylock_Envelope *e);
/* Sends a request's end, and notes that the daemon may not hear of it. */
int link_send_end(struct link *l, struct request *q);
/* A question whose answer, when it comes, is to be given to link_answered(): by then
 * all has been heard that was sent before it. */
void link_ask(struct link *l);
void link_answered(struct link *l, uint64_t query);

/* --- link_terminals.c */

/* Closes the descriptors of terminals that nobody needs any more. */
void link_tidy_terminals(struct link *l);

/* --- hearing.c */

/* As link_drain(); the lock may be given up meanwhile, to start a daemon. */
int link_hear(struct link *l);
/* What has come before the connection broke. */
void link_hear_last(struct link *l);

/* --- reconnect.c */

/* The connection has broken. */
void link_break(struct link *l);
/* For good. */
void link_lose(struct link *l);
/* When it is time: connects, or starts a daemon. The lock may be given up meanwhile. */
void link_mend(struct link *l);
/* Now, whatever the time; also one that was lost. Whether it is up. */
bool link_mend_now(struct link *l);
/* When link_mend() is to be called next, if that is before the deadline. */
int64_t link_mend_before(const struct link *l, int64_t deadline);

#endif
