/* usage: what each user has of the daemon, counted.
 *
 * Knows numbers only; policy says what they mean. A user's record lives while
 * anybody refers to it.
 */
#ifndef TTYLOCK_USAGE_H
#define TTYLOCK_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bucket.h"
#include "policy.h"

struct turn;

struct usage {
	uid_t uid;
	uint32_t connections, lingering, requests, terminals, watchers;
	uint64_t queued_bytes; /* that its peers have not read yet */
	struct bucket messages, refusals;
	uint32_t refusals_untold;
	struct turn *first, *last; // its connections that wait for their turn; turn.h
	uint32_t refs;
	struct usage *next;
	struct usages *set;
};

struct usages {
	struct usage *first; // owns
	uint64_t queued_bytes;
};

/* The user's record, with a reference for the caller; NULL: out of memory. */
struct usage *usages_get(struct usages *set, uid_t uid);
struct usage *usage_ref(struct usage *u);
void usage_unref(struct usage *u);

/* Bytes that lie unread: so many more; so many less. */
void usage_queued(struct usage *u, size_t bytes);
void usage_unqueued(struct usage *u, size_t bytes);

/* Whether the user may let more lie unread. */
enum policy_verdict usage_may_queue(const struct usage *u);

/* Whether the user's connections may be read from now; so much of that is used. */
bool usage_may_talk(struct usage *u, uint64_t now_ms);
void usage_talked(struct usage *u, uint64_t now_ms, uint32_t cost);

/* Whether one more refusal is worth telling; *untold: how many were not, since
 * the last that was. */
bool usage_tell_refusal(struct usage *u, uint64_t now_ms, uint32_t *untold);

#endif
