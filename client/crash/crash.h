/*
 * The crash handlers: a debugger instead of a death, and the same death when there is none.
 */
#ifndef CRASH_CRASH_H
#define CRASH_CRASH_H

#include "helper.h"

/* Install them where they are not, except where the program has the signal ignored. helper must
 * stay valid. */
void crash_install(const struct helper *helper);

/* Put back what was there before: for sig, or for all (0). A handler that the program has installed
 * since stays. */
void crash_remove(int sig);

#endif
