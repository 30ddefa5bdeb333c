/* kitchen: a kitchen timer, twice, to show the harness on what is no lock.
 *
 * start() it, stop() it, see how long remaining(); when the time is up a thread
 * of its own calls ring(). Two versions with one interface: the naive one has a
 * mutex around everything that it touches, so that ThreadSanitizer finds
 * nothing, and is wrong all the same; the mended one is not.
 */
#ifndef TTYLOCK_TESTS_KITCHEN_H
#define TTYLOCK_TESTS_KITCHEN_H

#include <stdbool.h>
#include <stdint.h>

struct kitchen_timer;

struct kitchen {
	/* NULL: errno. */
	struct kitchen_timer *(*new)(void (*ring)(void *arg), void *arg);
	/* Not from ring(). */
	void (*free)(struct kitchen_timer *t);
	/* Rings ms from now. 0; -EBUSY: it is running. */
	int (*start)(struct kitchen_timer *t, int64_t ms);
	/* True when that kept it from ringing. In any case it does not ring, nor
	 * is it ringing, from then on (except to ring() itself, which may call
	 * this), until it is started again. */
	bool (*stop)(struct kitchen_timer *t);
	/* Milliseconds until it rings, 0 or more; -1: it is not running. */
	int64_t (*remaining)(struct kitchen_timer *t);
};

extern const struct kitchen kitchen_naive, kitchen_mended;

#endif
