/* ready: the helper that breakpoints and crash handlers of this process start,
 * found and set aside at the first call. */
#ifndef TTYLOCK_READY_H
#define TTYLOCK_READY_H

#include "../crash/helper.h"

/* 0; -EPERM: a set-user-ID program; -ENOENT: no ttylock beside this library, in
 * ../bin, or where an installation has it; -ENOMEM. Async-signal-safe once it
 * has succeeded. */
int ready_helper(const struct helper **outp);

#endif
