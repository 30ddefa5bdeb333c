/* feed: one connection to the daemon for looking and steering: what there is at
 * one moment, what changes from then on, and orders by the daemon's numbers.
 *
 * Asks for no terminal. All times out, and returns -EINTR
 * on a signal.
 */
#ifndef TTYLOCK_FEED_H
#define TTYLOCK_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/greet.h"

#define FEED_MS 10000

struct feed {
	struct channel channel;
	struct greeting greeting;
	uint64_t queries;
	bool open;
	/* Takes in events that come in between; NULL: they are dropped. */
	void (*on_event)(const ttylock_Event *event, void *arg);
	void *arg;
};

struct listing_row {
	ttylock_Entry entry;
	bool below; /* it holds, but somebody was served on top of it */
};

/* Terminal by terminal, holders before their waiters. */
struct listing {
	struct listing_row *rows;
	size_t count, room;
};

/* flags: 0, or TTYLOCK_START. 0; -ENOENT: no daemon runs; else as ttylock_open(). */
int feed_open(struct feed *f, unsigned flags);
/* Whether an error of these says that the daemon is absent, perhaps to come back. */
bool feed_is_absence(int error);
/* Also for one that is not open. */
void feed_close(struct feed *f);

/* Asks for events from now on. 0, -ECONNRESET... */
int feed_watch(struct feed *f);
/* Takes in events until the deadline. 0, or what ended it. */
int feed_wait(struct feed *f, int64_t deadline);

/* All requests at one moment. 0, -ETIMEDOUT, -ECONNRESET, -EINTR, -EPROTO, -EUSERS, -ENOMEM;
 * *out is to be freed in any case. */
int feed_list(struct feed *f, struct listing *out, int64_t deadline);
void listing_free(struct listing *l);
/* Keeps the rows for which fn is true, in their order. */
void listing_keep(
    struct listing *l, bool (*fn)(const struct listing_row *row, void *arg), void *arg);

/* Sends an order about request `id` and takes its answer: 0; a negative errno of
 * the daemon's Error: -ENOENT, -EACCES, -EINVAL, -EDEADLK; or as feed_list(). */
enum feed_order { FEED_CANCEL, FEED_RELEASE, FEED_FIRST };
int feed_order(struct feed *f, enum feed_order order, uint64_t id);

#endif
