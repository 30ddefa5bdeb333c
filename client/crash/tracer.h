/* Is somebody debugging the calling thread? */
#ifndef CRASH_TRACER_H
#define CRASH_TRACER_H

/* The tracer's pid, 0 when there is none, -errno when that cannot be found out. Async-signal-safe.
 */
int tracer_pid(void);

#endif
