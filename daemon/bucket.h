/* bucket: a token bucket: how much of something may be had in a second, and how
 * much at once after a rest.
 *
 * Pure: the time is an argument, in ms from any beginning. A zeroed bucket is
 * full.
 */
#ifndef TTYLOCK_BUCKET_H
#define TTYLOCK_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket_rate {
	uint32_t per_s, burst;
};

struct bucket {
	uint64_t spent; /* in thousandths, and not refilled yet */
	uint64_t at;	/* the time that this was true */
};

/* Whether there is one in it. */
bool bucket_has(struct bucket *b, const struct bucket_rate *rate, uint64_t now_ms);

/* Takes that much out of it. More than there is is a debt, to be refilled first;
 * one much larger than the burst is forgiven down to that. */
void bucket_spend(
    struct bucket *b, const struct bucket_rate *rate, uint64_t now_ms, uint32_t amount);

#endif
