/* deadline: a moment of CLOCK_MONOTONIC, in milliseconds; -1 is never. Below that it is
 * DEADLINE_LATER, where that is told to be fine. */
#ifndef TTYLOCK_DEADLINE_H
#define TTYLOCK_DEADLINE_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline int64_t deadline_in(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
}

/* So many ms from when deadline_fix() is called: whoever need not wait does not look at
 * the clock. */
#define DEADLINE_LATER(ms) (-2 - (int64_t)(ms))

static inline int64_t deadline_fix(int64_t deadline)
{
	return deadline < -1 ? deadline_in((int)(-2 - deadline)) : deadline;
}

/* What is left of it, for poll(2): -1 for ever, 0 when it has passed. */
static inline int deadline_left(int64_t deadline)
{
	if (deadline < 0)
		return -1;
	int64_t left = deadline - clock_ms();
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

#endif
