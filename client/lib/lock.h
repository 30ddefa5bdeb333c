/* lock: the handle behind ttylock.h, and what only the command needs of it. */
#ifndef TTYLOCK_LOCK_H
#define TTYLOCK_LOCK_H

#include "inherit.h"
#include "link.h"
#include "ttylock.h"

struct taken;

struct ttylock {
	struct link *link;
	int tty;      /* a descriptor of the terminal, -1: none */
	int line;     /* another one for the hook, which does not wait there; -1: none */
	int terminal; /* its number on the link, -1: none */
	uint8_t under[INHERIT_TOKEN]; /* what we were started under; of under_size, or 0 */
	size_t under_size;
	int wake;	      /* an eventfd for dispatch: somebody else took in the news */
	pthread_mutex_t lock; /* for these three */
	int poll;	      /* an epoll descriptor of socket and wake; -1 until asked for */
	struct taken *taken;  /* how the terminal was before we took it; NULL */
	uint64_t taken_by;    /* the request under which it was */
	int interrupted;      /* atomic: ttylock_interrupt() was called */
};

/* Asks for events; fn is called by dispatch, on a link that nobody shares. 0,
 * -ECONNRESET. */
int lock_watch(struct ttylock *t, void (*fn)(const ttylock_Event *event, void *arg), void *arg);

/* Leaves with the daemon what a later holder needs should we die (handover.h; len 0: nothing).
 * The terminal is mended: who has not said this has not begun with it. */
int lock_save(struct ttylock *t, uint64_t id, const uint8_t *saved, size_t len);

/* Copies the daemon's last word on a request of ours. 0, -ENOENT. */
int lock_last(struct ttylock *t, uint64_t id, ttylock_LockStatus *out);

/* Gives the terminal back if the request took it. */
void lock_give_terminal(struct ttylock *t, uint64_t id);

#endif
