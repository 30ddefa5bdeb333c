/* procstat: what /proc/PID/stat says of a process, at the moment it is read. */
#ifndef TTYLOCK_PROCSTAT_H
#define TTYLOCK_PROCSTAT_H

#include <stdint.h>
#include <sys/types.h>

struct procstat {
	pid_t parent;	/* 0: none that is seen from here */
	uint64_t start; /* in clock ticks since boot */
};

/* 0, or -errno: -ESRCH when it is gone, -EBADMSG when its line cannot be understood. */
int procstat_read(pid_t pid, struct procstat *out);

/* The parent alone, which newer kernels tell without writing out all the rest. 0: it has
 * none here, or cannot be looked at. */
pid_t procstat_parent(pid_t pid);

#endif
