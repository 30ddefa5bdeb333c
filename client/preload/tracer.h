/* Is somebody debugging the calling thread? */
#ifndef PRELOAD_TRACER_H
#define PRELOAD_TRACER_H

/* The tracer's pid, 0 when there is none, -errno when that cannot be found out. Async-signal-safe.
 */
int tracer_pid(void);

#endif
