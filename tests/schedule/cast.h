/* cast: the actors of one run: starts them, sees their ends, clears them away.
 *
 * Processes are forked before the first thread is made. Owns threads,
 * processes and their pidfds, and one thread that waits for the processes, so
 * that an end is news on the board like everything else.
 */
#ifndef TTYLOCK_TESTS_CAST_H
#define TTYLOCK_TESTS_CAST_H

#include <pthread.h>

#include "board.h"
#include "schedule.h"

struct cast_member {
	const struct actor *actor;
	struct board_slot *slot;
	struct cast *cast;
	pthread_t thread;
	bool has_thread;
	int pidfd; /* -1: none */
};

struct cast {
	struct board *board;
	const char *board_path;
	void *context;
	size_t n;
	struct cast_member members[SCHEDULE_ACTORS];
	pthread_t watcher;
	bool watched;
	int dismiss; /* eventfd: the watcher's end */
};

/* Each actor waits at its start. The slots are those of the actors. 0 or
 * -errno; cast_end() in any case. */
int cast_start(struct cast *c, const struct schedule *s, struct board *b, const char *board_path,
    void *context);

/* True when nobody is left; false: a thread has not ended within ms. */
bool cast_end(struct cast *c, int ms);

/* 0 or -errno; -EINVAL when the actor is a thread. It may take a while. */
int cast_kill(struct cast_member *m, int ms);

/* To the very thread that is the actor. 0 or -errno. */
int cast_signal(struct cast_member *m, int sig);

#endif
