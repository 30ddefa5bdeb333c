/* sigint_hook: the SIGINT handler itself. Async-signal-safe throughout: no heap,
 * no stdio, no lock that can be held by what it interrupted; what it needs is
 * prepared by sigint.c. */
#ifndef TTYLOCK_SIGINT_HOOK_H
#define TTYLOCK_SIGINT_HOOK_H

#include <signal.h>

#include "channel.h"
#include "sigint.h"

#define SIGINT_PRESSES 3

struct sigint_state {
	struct shield shields[SIGINT_SHIELDS_MAX];
	struct sigaction before; /* what the first shield found */
	pid_t process;		 /* a child, between fork and its handlers, has no shields */
	/* Atomic. */
	int installed;
	int inside; /* how many threads are in the hook, using what stands here */
	int asking; /* the thread that uses the channel; 0: none */
	unsigned kept_back;
	unsigned pressed;
	int64_t presses[SIGINT_PRESSES]; /* when, in ms, the last ones */
	/* A connection that nobody but the hook uses, once it is there. */
	struct channel channel;
	char socket[ADDRESS_MAX]; /* where it leads, also when the daemon is another one */
	uint64_t queries;
	/* With it, since the host's alternate stack may be small. */
	ttylock_Envelope frame;
	ttylock_Entry holder;
};

extern struct sigint_state sigint_state;

/* The channel, for this thread alone; false: another thread, or an outer call of
 * this one, has it. */
int sigint_claim(void);
void sigint_unclaim(void);

void sigint_hook(int sig, siginfo_t *info, void *context);

#endif
