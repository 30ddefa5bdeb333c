/* The other threads of this process, as the kernel lists them. Async-signal-safe. */
#ifndef CRASH_TASKS_H
#define CRASH_TASKS_H

#include <stddef.h>
#include <sys/types.h>

#define TASKS_PATH "/proc/self/task"

/* The list, to be closed; or -errno. */
int tasks_open(void);

/* Call fn, if any, for each thread but the calling one. buf is room to read a directory. Returns
 * how many there are, or -errno. */
long tasks_others(int list, char *buf, size_t size, void (*fn)(pid_t tid, void *arg), void *arg);

#endif
