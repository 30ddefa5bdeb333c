/* atfork: the locks that fork() takes first, so that a child finds whole what they
 * guard.
 *
 * fork() may come from a signal handler that has interrupted this very thread with one
 * of them taken. Then it waits for none: those that are not to be had are left, and
 * what they guard may be in the middle of a change, in the child for good. So what
 * becomes of it in a child has to be safe at each instruction of a change; and whoever
 * returns from such a handler there unlocks what is not locked, which does nothing.
 */
#ifndef TTYLOCK_ATFORK_H
#define TTYLOCK_ATFORK_H

#include <pthread.h>
#include <stdbool.h>

/* Static; prepare is called in the reverse order of the registrations. */
struct atfork {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
	struct atfork *next;
	bool done;
};

/* Whoever is first does it. 0; -ENOMEM: it is tried again at the next call. */
int atfork_register(struct atfork *a);

/* Such a lock, outside of fork(). */
void atfork_lock(pthread_mutex_t *m);
void atfork_unlock(pthread_mutex_t *m);

/* In prepare, and in parent in the reverse order: atfork_give() unlocks where
 * atfork_take() has locked, and says so; atfork_has(): whether it will. */
bool atfork_take(pthread_mutex_t *m);
bool atfork_has(void);
bool atfork_give(pthread_mutex_t *m);

/* The same for one beside which is remembered who has taken it: atfork_self(). */
bool atfork_seize(pthread_mutex_t *m);
void atfork_return(pthread_mutex_t *m);
const void *atfork_self(void);

/* In a child, in that order too: unlocked, or made anew where it was not to be had. */
void atfork_inherit(pthread_mutex_t *m);
void atfork_inherit_from(pthread_mutex_t *m, const void *taker);

#endif
