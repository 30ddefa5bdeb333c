/* sigint_hook: the SIGINT handler itself. Async-signal-safe throughout: no heap,
 * no stdio, no lock that can be held by what it interrupted; what it needs is
 * prepared by sigint.c. */
#ifndef TTYLOCK_SIGINT_HOOK_H
#define TTYLOCK_SIGINT_HOOK_H

#include <signal.h>

#include "channel.h"
#include "sigint.h"

struct sigint_state {
	struct shield shields[SIGINT_SHIELDS_MAX];
	struct sigaction before; /* what the first shield found */
	int installed;		 /* atomic */
	int busy;		 /* atomic: a handler runs, perhaps in another thread */
	unsigned kept_back;	 /* atomic */
	/* A connection that nobody but the handler uses, once it is there. */
	struct channel channel;
	uint64_t queries;
	int64_t presses[3]; /* the times of the last ones, newest first, ms */
};

extern struct sigint_state sigint_state;

void sigint_hook(int sig, siginfo_t *info, void *context);

#endif
