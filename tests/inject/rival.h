/* rival: another process that wants the terminal, beside an act and after it.
 */
#ifndef TTYLOCK_TESTS_RIVAL_H
#define TTYLOCK_TESTS_RIVAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "acts.h"

/* Each returns NULL, or what is wrong. */

/* Returns when it holds; takes: it has taken the terminal then, and given it back. */
const char *rival_start(const struct acts_stage *stage, bool takes);
/* It is to release it as soon as somebody waits. */
const char *rival_yield(void);
/* It is to release it, and to be gone. */
const char *rival_end(void);

/* 0: there is none. */
pid_t rival_process(void);

#endif
