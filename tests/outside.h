/* outside: a process as others see it.
 */
#ifndef TTYLOCK_TESTS_OUTSIDE_H
#define TTYLOCK_TESTS_OUTSIDE_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether it has ended within that time, reaped or not. */
bool outside_is_over(pid_t pid, int ms);
/* With the same few more each time: to be compared. */
int outside_descriptors(pid_t pid);

#endif
