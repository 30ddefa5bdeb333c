/* dump: on SIGUSR1, what the daemon knows and where it is, to the log.
 *
 * The stack is written by the signal handler itself, so also by a loop that is
 * stuck; the rest follows from the loop: lock table, peers, counters. Lists are
 * cut; nothing secret (tokens, saved states) is shown.
 */
#ifndef TTYLOCK_DUMP_H
#define TTYLOCK_DUMP_H

#include <event2/event.h>

#include "broker.h"
#include "peer.h"

struct dump;

/* Takes SIGUSR1, of which a process has only one: at most one dump at a time.
 * All that is given must outlive it. NULL: out of memory or descriptors. */
struct dump *dump_new(
    struct event_base *base, const struct broker *broker, const struct peers *peers);

/* NULL is fine. */
void dump_free(struct dump *d);

#endif
