/* What libttylock.so asks of libttylock-preload.so when both are in one process. Weak: NULL where
 * it is not preloaded. */
#ifndef PRELOAD_PRELOAD_H
#define PRELOAD_PRELOAD_H

#include <stdbool.h>

/* The crash handlers: on, all of them; off, that of sig, or all (0). 0, or -errno: this process was
 * not started by `ttylock run`. */
__attribute__((weak, visibility("default"))) int ttylock_preload_crash(int sig, bool on);

/* The stack dump on SIGUSR1, as ttylock_stack_dump_install(). 0; -EBUSY; or -errno as above. */
__attribute__((weak, visibility("default"))) int ttylock_preload_stack_dump(void);

#endif
