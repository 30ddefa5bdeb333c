/* lock: the handle behind ttylock.h, and what only the command needs of it. */
#ifndef TTYLOCK_LOCK_H
#define TTYLOCK_LOCK_H

#include "address.h"
#include "channel.h"
#include "request.h"
#include "ttylock.h"

struct ttylock {
	struct channel channel;
	struct requests requests;
	pid_t owner; /* the process that opened it: a forked child is not */
	int tty;     /* a descriptor of the terminal, -1: none */
	int32_t daemon_pid;
	uint64_t uptime_ms;
	uint64_t queries;
	char socket[ADDRESS_MAX];
	/* Called by dispatch for each Event after lock_watch(). */
	void (*on_event)(const ttylock_Event *event, void *arg);
	void *on_event_arg;
};

/* Asks for events. 0, -ECONNRESET. */
int lock_watch(struct ttylock *t, void (*fn)(const ttylock_Event *event, void *arg), void *arg);

/* Leaves with the daemon what a later holder needs should we die (handover.h). */
int lock_save(struct ttylock *t, uint64_t id, const uint8_t *saved, size_t len);

/* The daemon's last word on a request of ours: NULL when there is none. */
const ttylock_LockStatus *lock_last(const struct ttylock *t, uint64_t id);

#endif
