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

#include "handle.h"

#define SIGINT_SHIELDS_MAX 64

/* The request behind a shield: its id, or one of these. */
#define SHIELD_ALONE  0		 /* none: the handle's own shield */
#define SHIELD_COMING UINT64_MAX /* one that is not made yet */

struct shield {
	/* Atomic. used is set last and cleared first. */
	int used;
	int cancelled; /* the hook took the request back */
	int waiting;   /* a request waits behind it */
	uint64_t request;

	int wake; /* an eventfd to write to when cancelled */
	int tty;
	const struct ttylock *owner;
	char terminal[64];
	void (*redraw)(void *arg);
	void *redraw_arg;
};

/* Puts a shield up for the handle, with a wish for the request that comes, which
 * sigint_name() then names; wake is written to when the hook takes that back.
 * 0; -EUSERS: too many; -ECONNRESET. */
int sigint_shield(
    struct ttylock *t, const struct ttylock_wish *wish, int wake, struct shield **outp);
void sigint_name(struct shield *s, uint64_t request);
/* Instead, when no request came of it. */
void sigint_drop(struct shield *s);

/* From then on it is known by its handle and request, since any thread may end
 * it at any time. -ENOENT: there is none (any more). */
int sigint_unshield(const struct ttylock *t, uint64_t request);
bool sigint_has(const struct ttylock *t, uint64_t request);
/* Whether the hook took the request back. */
bool sigint_is_cancelled(const struct ttylock *t, uint64_t request);
/* The request waits no more: the hook shall not take it back. */
void sigint_settle(const struct ttylock *t, uint64_t request);
/* The handle's requests that wait behind a shield; how many. */
size_t sigint_waiting(const struct ttylock *t, uint64_t out[SIGINT_SHIELDS_MAX]);

/* How many SIGINTs were kept back so far: who was woken by one looks whether
 * this has grown, and waits on. */
unsigned sigint_kept_back(void);

/* Closes the hook's connection while no shield is up. */
void sigint_rest(void);

#endif
