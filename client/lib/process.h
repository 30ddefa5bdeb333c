/* process: which one we are, asked of the kernel once. A child, however it was forked,
 * finds that it is another one. */
#ifndef TTYLOCK_PROCESS_H
#define TTYLOCK_PROCESS_H

#include <sys/types.h>

/* As getpid(2), which is a system call each time. Async-signal-safe. */
pid_t process_id(void);

#endif
