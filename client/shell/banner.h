/* banner: the lines above each debugger. Stable text: people and scripts rely
 * on it. */
#ifndef TTYLOCK_BANNER_H
#define TTYLOCK_BANNER_H

#include <stdint.h>
#include <sys/types.h>

/* "SIGSEGV"; "signal 40" for one without a name. */
void signal_name(int sig, char out[16]);

/* Writes to tty, in one piece:
 *   ttylock: crash: NAME (pid N): SIGSEGV (Segmentation fault); nobody else waits
 *   ttylock: breakpoint: NAME (pid N): FILE:LINE: TEXT; 2 more wait
 * where "crash" is the reason and the part after the pid is `what`. */
void banner_print(
    int tty, const char *reason, pid_t pid, const char *comm, const char *what, uint32_t waiters);

#endif
