/* SIGUSR1: the stacks of all threads, shown by a helper that looks from outside. */
#ifndef CRASH_STACK_DUMP_H
#define CRASH_STACK_DUMP_H

#include "helper.h"

/* Install the handler. helper must stay valid. 0, also when it is there already; -EBUSY: SIGUSR1 is
 * handled or ignored by the program, and stays so. */
int stack_dump_install(const struct helper *helper);

#endif
