/* sigint: Ctrl-C while the terminal is somebody's.
 *
 * While a shield is up, the hook decides what a SIGINT may do (see the table
 * in the manual, ttylock.h): kept back while somebody lives who has the
 * terminal, passed on to the handler that was there before us otherwise. The
 * first shield installs the hook, the last one puts back what it found, if the
 * hook is still what is installed. Shields are counted: the end of one never
 * takes down another's.
 */
#ifndef TTYLOCK_SIGINT_H
#define TTYLOCK_SIGINT_H

#include <stdbool.h>
#include <stdint.h>

#include "lock.h"

#define SIGINT_SHIELDS_MAX 64

struct shield {
	int used;      /* atomic; the rest is set before it */
	int cancelled; /* atomic: the hook took the request back */
	int waiting;   /* atomic: a request waits behind it */
	int wake;      /* an eventfd to write to when cancelled, -1 */
	int tty;
	uint64_t owner, request; /* the handle, and its request or 0 */
	char terminal[64];
	void (*redraw)(void *arg);
	void *redraw_arg;
};

/* Puts a shield up for the handle. 0; -EUSERS: too many; -ECONNRESET. */
int sigint_shield(struct ttylock *t, const struct ttylock_wish *wish, struct shield **outp);
void sigint_unshield(struct shield *s);

/* The shield of a request, NULL: none. */
struct shield *sigint_find(const struct ttylock *t, uint64_t request);

/* The handle's next shield of a request behind `after` (NULL: its first one). */
struct shield *sigint_next(const struct ttylock *t, struct shield *after);

/* How many SIGINTs were kept back so far: who was woken by one looks whether
 * this has grown, and waits on. */
unsigned sigint_kept_back(void);

#endif
