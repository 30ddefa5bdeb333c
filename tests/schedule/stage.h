/* stage: where the actors of a schedule meet the real daemon, and a look at it
 * from outside.
 *
 * Owns a directory with the daemon's socket, a pseudo-terminal that they share,
 * and, unless each schedule brings one as an actor, one ttylockd for all runs.
 * The looks use connections of their own, so that the library that is looked at
 * has no handle but those of the actors.
 */
#ifndef TTYLOCK_TESTS_STAGE_H
#define TTYLOCK_TESTS_STAGE_H

#include <stdbool.h>

/* Each of these is called once, around all schedules. 0 or -1. */
int stage_set_up(bool with_daemon);
int stage_tear_down(void);

/* A ttylockd as an actor; it serves when it has come to "server.ready". */
extern const char *const stage_daemon[];

/* The terminal, open for reading and writing. */
int stage_terminal(void);

/* How often to perform each schedule. */
int stage_repeats(void);

/* A schedule's before() and after(): after it the next one is granted, nobody
 * holds or waits, and neither this process nor the daemon has a descriptor more
 * than before. */
bool stage_enter(void *context);
bool stage_is_clear(void *context);
/* The same where the daemon was an actor, and is gone. */
bool stage_is_left(void *context);

/* Waits until the daemon says that the task of that name has the terminal, or
 * waits for it; false when it does not come to that. */
bool stage_holds(const char *task);
bool stage_waits(const char *task);

/* Has the daemon take the terminal from whoever has it. */
bool stage_force(void);

#endif
