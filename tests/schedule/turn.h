/* turn: what an actor does who only wants the terminal, and how a schedule checks it. */
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

/* Actors who do turn_take(). */
int A_takes_a_turn(void *context);
int B_takes_a_turn(void *context);
int C_takes_a_turn(void *context);
int D_takes_a_turn(void *context);

/* Checks: what the daemon says of an actor's turn; and the daemon takes it away. */
bool A_is_granted(void *context);
bool C_is_granted(void *context);
bool A_waits(void *context);
bool C_waits(void *context);
bool holder_is_forced(void *context);

/* In the child of a fork: it has no part in the parent's handle and request,
 * and is free to ask for itself. 0; else its exit status. */
struct ttylock;
int turn_of_child(struct ttylock *parents, unsigned long request);

#endif
