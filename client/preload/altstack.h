/*
 * Alternate signal stacks: without one, a thread that has run out of stack dies before any handler
 * runs.
 */
#ifndef PRELOAD_ALTSTACK_H
#define PRELOAD_ALTSTACK_H

#include <stdbool.h>
#include <stddef.h>

/* From now on each new thread gets one. */
void altstack_enable(void);

/* Its bytes, a multiple of the page size. */
size_t altstack_size(void);

/* Does the calling thread have one already? A sanitizer or the program itself may have set it. */
bool altstack_present(void);

/* Give the calling thread this one. What lies below it must not be writable. */
void altstack_set(void *stack);

#endif
