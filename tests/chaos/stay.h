/* stay: a worker's time at a terminal, from its asking to its giving it back.
 */
#ifndef CHAOS_STAY_H
#define CHAOS_STAY_H

#include <stdbool.h>
#include <stdint.h>
#include <ttylock.h>

#include "board.h"

struct worker {
	struct slot *slot;
	uint64_t random;
	const int *ttys;
	int count;
	struct ttylock *handles[BOARD_TERMINALS];
};

/* By a request that was granted. */
struct stay {
	struct ttylock *handle;
	int terminal;
	uint64_t id, mark; /* mark: 0: never entered */
};

uint64_t worker_draw(struct worker *w, uint64_t below);
/* One of its terminals. */
int worker_any(struct worker *w);
/* Opened where there is none yet; NULL: it cannot be. */
struct ttylock *worker_handle(struct worker *w, int terminal);
void worker_forget(struct worker *w, int terminal);

/* Whether it was granted. */
bool stay_acquire(struct worker *w, struct stay *s, int terminal, bool nonblock, int timeout_ms);
/* under: 0, or the mark of the stay that it is on top of. */
void stay_enter(struct worker *w, struct stay *s, uint64_t under);
void stay_use(struct worker *w);
/* The last look before it is given back: it must have been ours all the time, but for
 * a release by force. */
void stay_leave(struct worker *w, struct stay *s);
void stay_release(struct stay *s);

#endif
