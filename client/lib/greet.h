/* greet: a new connection to the daemon: finds it, starts it where asked to,
 * and says hello. */
#ifndef TTYLOCK_GREET_H
#define TTYLOCK_GREET_H

#include "address.h"
#include "channel.h"

struct greeting {
	char socket[ADDRESS_MAX];
	uint64_t tree; /* that we live below; 0: none */
	ttylock_Welcome welcome;
};

/* Connects to the socket at path. 0; -EAGAIN: the daemon went away meanwhile;
 * else as ttylock_open(). */
int greet_at(struct channel *c, const char *path, struct greeting *out, int64_t deadline);

/* Connects to the first of the addresses that answers; with TTYLOCK_START in
 * flags starts a daemon at the last one when none does. */
int greet_any(struct channel *c, const struct addresses *a, unsigned flags, struct greeting *out,
    int64_t deadline);

#endif
