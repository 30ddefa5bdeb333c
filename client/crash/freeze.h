/*
 * Every other thread of the process stands still while a crash waits for its debugger. One freeze
 * at a time: the caller has the solo. Async-signal-safe.
 */
#ifndef CRASH_FREEZE_H
#define CRASH_FREEZE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Park the other threads; sig is the crash signal. Returns how many there are. A thread that does
 * not come within 200 ms (in an uninterruptible sleep, say) is left behind: it parks whenever it
 * gets to it. buf is room to read a directory.
 */
unsigned freeze_others(int sig, char *buf, size_t size);

/* Let them go on, a moment after the crash has come back under the debugger. */
void freeze_thaw(void);

/*
 * Park the one thread until the gate's other end is closed; the signal sig has an action that was
 * put there through libc. What it is doing is restarted then. Returns 0 or -errno.
 */
int freeze_until(int gate, int sig, pid_t tid);

#endif
