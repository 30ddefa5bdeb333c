/* clock: what time it is, for all that must not ask themselves: what is pure takes
 * it as an argument.
 */
#ifndef TTYLOCK_CLOCK_H
#define TTYLOCK_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in ms. */
uint64_t clock_ms(void);

#endif
