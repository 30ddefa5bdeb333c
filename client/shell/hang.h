/* hang: whether the processes below us have come to a standstill.
 *
 * They have when for so long none was born, none has ended and none has written
 * anything, be it to the terminal, a file or a pipe (the kernel counts the bytes:
 * /proc/PID/io). So one that waits with a heartbeat to somebody does not count as
 * hanging, nor does one that computes in silence count as busy; what is written
 * by mapped memory or io_uring is not seen.
 */
#ifndef TTYLOCK_HANG_H
#define TTYLOCK_HANG_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HANG_MAX_S 86400

struct hang {
	struct event *timer;
	int limit_ms, quiet_ms; /* counted by looks: being stopped ourselves is no quiet */
	int look_ms;
	uint64_t seen;	     /* a digest of what the last look saw */
	bool told;	     /* of this quiet */
	const pid_t *dumper; /* while it is not 0, a dump of ours traces them: no look */
	/* At a standstill; false: it is none (somebody is in the debugger). */
	bool (*tell)(void *arg);
	void *arg;
};

/* limit_s: 1 to HANG_MAX_S. 0 or -ENOMEM. */
int hang_watch(struct hang *h, struct event_base *base, int limit_s, const pid_t *dumper,
    bool (*tell)(void *arg), void *arg);

/* Also for one that was never begun. */
void hang_unwatch(struct hang *h);

#endif
