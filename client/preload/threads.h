/* The threads of a program that was not changed, by way of its pthread_create(). */
#ifndef PRELOAD_THREADS_H
#define PRELOAD_THREADS_H

/* From now on each new thread gets an alternate signal stack. */
void threads_enable(void);

#endif
