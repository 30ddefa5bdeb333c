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

#endif
