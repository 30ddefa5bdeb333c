/* policy: who may do what, how much of it, and how fast.
 *
 * Pure: no I/O, no clock, no memory of its own. It sees numbers only and says
 * allow, deny or quota; the caller acts on it.
 */
#ifndef TTYLOCK_POLICY_H
#define TTYLOCK_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"

/* The kernel's stand-in for every uid that has no mapping here: many people
 * share it, so it proves nothing. */
#define POLICY_UID_OVERFLOW 65534u

/* How many of a kind the daemon serves in all, at most. */
#define POLICY_REQUESTS_MAX  65536u
#define POLICY_TERMINALS_MAX 4096u
#define POLICY_WATCHERS_MAX  1024u
/* Bytes that lie unread, of all connections. */
#define POLICY_BYTES_MAX (64u * 1024 * 1024)

/* One part in this many of each total is for root alone. */
#define POLICY_ROOT_RESERVE 16u

/* Connections that have not said Hello, and are past POLICY_GREET_GRACE_S. */
#define POLICY_UNGREETED_MAX	  8u
#define POLICY_UNGREETED_MAX_ROOT 64u
#define POLICY_GREET_GRACE_S	  5
#define POLICY_GREET_DEADLINE_S	  30

/* Of a user who is over his rate, no more connections than these are taken in:
 * each costs far more than to turn it away. */
#define POLICY_BUSY_CONNECTIONS 256u

/* What things cost of a user's rate; a message costs 1. */
#define POLICY_COST_CONNECT 8u
#define POLICY_COST_ENTRIES 4u /* requests looked at for 1 more */
/* After so much a connection waits until the others have had their turn. */
#define POLICY_TURN 64u

enum policy_operation {
	POLICY_CONNECT,	 /* one more connection */
	POLICY_LINGER,	 /* one more connection without a Hello */
	POLICY_TERMINAL, /* one more terminal that nobody showed us before */
	POLICY_LOCK,	 /* one more request, the terminal proven by descriptor */
	POLICY_WATCH,	 /* one more watcher */
	POLICY_QUEUE,	 /* more bytes that may wait to be read: a long answer, an event */
	POLICY_SEE,	 /* a request in detail */
	POLICY_STEER,	 /* cancel a request, or force its release */
};

enum policy_verdict {
	POLICY_ALLOW,
	POLICY_DENY,
	POLICY_QUOTA,
};

struct policy_case {
	uint32_t uid; /* who wants to */
	/* POLICY_SEE, POLICY_STEER: */
	uint32_t request_uid;
	uint32_t terminal_uid; /* st_uid of the device */
	/* The others: how many of the kind this uid has, the other uids have,
	 * and there may be in all. */
	uint64_t mine, others, total;
	bool over_rate; /* POLICY_CONNECT: see policy_message_rate */
};

enum policy_verdict policy_decide(enum policy_operation op, const struct policy_case *c);

/* How many messages a user's connections may send. Above that they are not read
 * from for a while; nothing is refused or ended for it. */
const struct bucket_rate *policy_message_rate(uint32_t uid);

/* How many refusals of a user are worth a line in the log. */
const struct bucket_rate *policy_refusal_rate(uint32_t uid);

#endif
