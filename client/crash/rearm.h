/*
 * A crash's action that was taken away for the debugger comes back when that has gone: a process
 * that was repaired may crash again.
 */
#ifndef CRASH_REARM_H
#define CRASH_REARM_H

#include <signal.h>
#include <stdint.h>

/*
 * Once the gate's other end is closed: if sig has still the action `now`, and the calling thread is
 * not at pc any more (0: wherever it is), give it `then`. Takes the gate over. Async-signal-safe.
 */
void rearm_later(
    int gate, int sig, const struct sigaction *now, const struct sigaction *then, uintptr_t pc);

/* Not any more. */
void rearm_forget(int sig);

#endif
