/* guard: no SIGTRAP of a breakpoint is ever the program's.
 *
 * Between the look whether a debugger is there and the trap it may have gone:
 * killed, or left. Then the trap finds this instead of the default action, and
 * the program goes on. It is the process's SIGTRAP handler while any thread is
 * on its way to its trap, or stands there; whatever else it gets goes to the
 * handler that it has replaced, which comes back with the last one's end.
 * Async-signal-safe. */
#ifndef TTYLOCK_GUARD_H
#define TTYLOCK_GUARD_H

/* The calling thread is about to trap. */
void guard_enter(void);
/* It has passed its trap, or does not trap after all. */
void guard_leave(void);

/* Whether any thread of the process is between the two. */
int guard_entered(void);

#endif
