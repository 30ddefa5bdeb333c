/*
 * The crash handlers: a debugger instead of a death, and the same death when there is none.
 */
#ifndef PRELOAD_CRASH_H
#define PRELOAD_CRASH_H

#include "spawn.h"

/* Install them, except where the program's parent had the signal ignored. helper must stay valid.
 */
void crash_install(const struct helper *helper);

#endif
