/* expect: what the library may say to one with a part in the storm. Anything else has
 * the run fail.
 */
#ifndef CHAOS_EXPECT_H
#define CHAOS_EXPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <ttylock.h>

/* What a call may return while daemons are killed. Counts. */
bool expect_result(int r, const char *what);

/* A request was cancelled by another; skips_before: orders_skips() before it was
 * made. */
void expect_cancel(uint64_t skips_before);

/* A request that was granted is not any more: released by force. */
void expect_ousting(const struct ttylock_status *status, const char *who);

/* Takes in what a holder's daemon says, until that fits what the daemon has said to
 * others. Returns whether the terminal still is its own. */
bool expect_held(struct ttylock *handle, uint64_t id, const char *who);

#endif
