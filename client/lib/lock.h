/* lock: asking for a terminal and giving it back, as ttylock.h has it; here, what only
 * the command needs of that. */
#ifndef TTYLOCK_LOCK_H
#define TTYLOCK_LOCK_H

#include "handle.h"

/* Asks for events; fn is called by dispatch, on a link that nobody shares. 0,
 * -ECONNRESET. */
int lock_watch(struct ttylock *t, void (*fn)(const ttylock_Event *event, void *arg), void *arg);

/* Leaves with the daemon what a later holder needs should we die (handover.h; len 0: nothing).
 * The terminal is mended: who has not said this has not begun with it. */
int lock_save(struct ttylock *t, uint64_t id, const uint8_t *saved, size_t len);

/* Copies the daemon's last word on a request of ours. 0, -ENOENT. */
int lock_last(struct ttylock *t, uint64_t id, ttylock_LockStatus *out);

#endif
