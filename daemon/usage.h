/* usage: what each user has of the daemon, counted.
 *
 * Knows numbers only; policy says what they mean. A user's record lives while
 * anybody refers to it.
 */
#ifndef TTYLOCK_USAGE_H
#define TTYLOCK_USAGE_H

#include <stdint.h>
#include <sys/types.h>

struct usage {
	uid_t uid;
	uint32_t connections, lingering, requests, terminals;
	uint64_t queued_bytes; /* that its peers have not read yet */
	uint32_t refs;
	struct usage *next;
	struct usages *set;
};

struct usages {
	struct usage *first; // owns
};

/* The user's record, with a reference for the caller; NULL: out of memory. */
struct usage *usages_get(struct usages *set, uid_t uid);
struct usage *usage_ref(struct usage *u);
void usage_unref(struct usage *u);

#endif
