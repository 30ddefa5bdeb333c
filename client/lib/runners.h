/* runners: threads that run while somebody looks where they are going to stay.
 *
 * One that was woken needs little of a processor to be in its read again, or in a stop;
 * but it may have to wait for one. Who has run on for longer is elsewhere.
 */
#ifndef TTYLOCK_RUNNERS_H
#define TTYLOCK_RUNNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUNNERS_MAX 32
/* One may be kept from the processor by others for long; nobody is waited for longer. */
#define RUNNERS_MS 2000

struct runners {
	int64_t began; /* ms: the first look */
	size_t count;
	struct {
		pid_t thread;
		int64_t ran; /* when it was first seen to run */
	} seen[RUNNERS_MAX];
};

void runners_init(struct runners *r);

/* Whether that thread, which runs now, has run on its own account since it was first
 * asked for; arg is the struct runners. */
bool runners_computes(pid_t pid, pid_t thread, void *arg);

#endif
