/*
 * Alternate signal stacks: without one, a thread that has run out of stack dies before any handler
 * runs.
 */
#ifndef CRASH_ALTSTACK_H
#define CRASH_ALTSTACK_H

#include <stdbool.h>
#include <stddef.h>

/* Its bytes, a multiple of the page size. */
size_t altstack_size(void);

/* Does the calling thread have one already? A sanitizer or the program itself may have set it. */
bool altstack_present(void);

/* Give the calling thread this one. What lies below it must not be writable. */
void altstack_set(void *stack);

/* Take this one from the calling thread, if it is the one that it has. Returns whether it was. */
bool altstack_unset(void *stack);

#endif
