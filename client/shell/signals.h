/* signals: taken in from a descriptor, in the event loop, never in a handler. */
#ifndef TTYLOCK_SIGNALS_H
#define TTYLOCK_SIGNALS_H

#include <signal.h>
#include <sys/signalfd.h>

struct signals {
	int fd;
	sigset_t before;	       /* the mask to give back to children */
	struct sigaction child_before; /* and what SIGCHLD did */
};

/* Blocks the signals (ended by 0) and opens the descriptor. Dispositions stay
 * as they were, so what was ignored stays ignored in children too; but for
 * SIGCHLD: whoever ignores it has no children to wait for. 0 or -errno. */
int signals_open(struct signals *s, const int *list);

/* In a child: as it was before signals_open. */
void signals_restore(const struct signals *s);

/* One pending signal: 1 and *info, or 0. */
int signals_next(struct signals *s, struct signalfd_siginfo *info);

/* Whether a process sent it, rather than the kernel (the terminal's keys). */
int signal_was_sent(const struct signalfd_siginfo *info);

/* Everything default and nothing blocked, for a new program. */
void signals_reset(void);

#endif
