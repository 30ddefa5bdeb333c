/* The threads of this process that read the terminal while its debugger has it. */
#ifndef CRASH_HOLD_H
#define CRASH_HOLD_H

/*
 * Have each other thread that is in a read of its terminal stand still until the gate's other end
 * is closed; sig as for freeze_until(). Async-signal-safe.
 */
void hold_readers(int gate, int sig);

#endif
