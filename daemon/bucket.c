#include "bucket.h"

#define DEBT_MAX_BURSTS 4

static void refill(struct bucket *b, const struct bucket_rate *rate, uint64_t now_ms)
{
	/* Somebody asks by an older look at the clock: that was refilled already. */
	if (now_ms <= b->at)
		return;
	uint64_t passed = now_ms - b->at;

	b->at = now_ms;
	if (b->spent == 0 || passed >= b->spent / rate->per_s + 1)
		b->spent = 0;
	else
		b->spent -= passed * rate->per_s;
}

bool bucket_has(struct bucket *b, const struct bucket_rate *rate, uint64_t now_ms)
{
	refill(b, rate, now_ms);
	return b->spent + 1000 <= (uint64_t)rate->burst * 1000;
}

void bucket_spend(
    struct bucket *b, const struct bucket_rate *rate, uint64_t now_ms, uint32_t amount)
{
	uint64_t max = (uint64_t)rate->burst * 1000 * DEBT_MAX_BURSTS;

	refill(b, rate, now_ms);
	b->spent += (uint64_t)amount * 1000;
	if (b->spent > max)
		b->spent = max;
}
