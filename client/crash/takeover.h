/*
 * A signal that glibc keeps for itself, taken over for a while: no program can block it through
 * libc. Async-signal-safe.
 */
#ifndef CRASH_TAKEOVER_H
#define CRASH_TAKEOVER_H

#include "kernel.h"

#include <stdbool.h>

struct takeover {
	int sig;
	void (*handler)(int sig, siginfo_t *info, void *context); /* ours */
	struct kernel_action before;
};

/* Put our handler there, if it is not. crash: a crash signal that is ours. 0 or -errno. */
int takeover_begin(struct takeover *t, int crash);

/* What was there before. */
void takeover_end(const struct takeover *t);

/* Is the handler there ours? */
bool takeover_is_in_force(const struct takeover *t);

/* Was there one before? */
bool takeover_has_before(const struct takeover *t);

/* From our handler: what is not ours goes to the one before, if there was one. */
void takeover_pass_on(const struct takeover *t, int sig, siginfo_t *info, void *context);

#endif
