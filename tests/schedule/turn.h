/* turn: what an actor does who only wants the terminal. */
#ifndef TTYLOCK_TESTS_TURN_H
#define TTYLOCK_TESTS_TURN_H

#include <stdbool.h>

/* Opens a handle, waits for the terminal, comes to "turn.held", gives it back
 * and closes: an actor's run(). A turn that was granted clean has the last
 * holder's word that the terminal is in order. */
int turn_take(const char *name);
int turn_take_clean(const char *name);
int turn_take_dirty(const char *name);

/* Ends without closing, which would wait for a daemon that stands still: for a process
 * that has nothing else to do. */
int turn_take_and_leave(const char *name);

/* In the child of a fork: it has no part in the parent's handle and request,
 * and is free to ask for itself. 0; else its exit status. */
struct ttylock;
int turn_of_child(struct ttylock *parents, unsigned long request);

#endif
