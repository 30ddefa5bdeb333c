#include "lineage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "procstat.h"

/* linux/pidfd.h, of Linux 6.13. */
struct pidfd_info_v0 {
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
#ifndef PIDFD_GET_INFO
#define PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info_v0)
#endif
#ifndef PIDFD_INFO_PID
#define PIDFD_INFO_PID 1
#endif

/* Without having the kernel write all that it knows of the process. -1: it does not
 * tell that way. */
static pid_t parent_asked(pid_t pid)
{
	static bool unknown;
	struct pidfd_info_v0 info = {.mask = PIDFD_INFO_PID};
	int fd = unknown ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -1;
	int r = ioctl(fd, PIDFD_GET_INFO, &info);
	unknown = r < 0 && errno == ENOTTY;
	close(fd);
	return r == 0 && (info.mask & PIDFD_INFO_PID) ? (pid_t)info.ppid : -1;
}

/* 0: it has none here, or cannot be looked at. */
static pid_t parent_of(pid_t pid)
{
	struct procstat stat;
	pid_t parent = parent_asked(pid);

	if (parent >= 0)
		return parent;
	return procstat_read(pid, &stat) == 0 ? stat.parent : 0;
}

struct lineage *lineage_read(pid_t pid)
{
	pid_t pids[LINEAGE_MAX];
	uint32_t n = 0;

	while (n < LINEAGE_MAX && pid > 0) {
		pids[n++] = pid;
		pid = pid == 1 ? 0 : parent_of(pid);
	}
	struct lineage *l = malloc(sizeof(*l) + n * sizeof(*pids));
	if (!l)
		return NULL;
	l->refs = 1;
	l->count = n;
	memcpy(l->pids, pids, n * sizeof(*pids));
	return l;
}

struct lineage *lineage_ref(struct lineage *l)
{
	l->refs++;
	return l;
}

void lineage_unref(struct lineage *l)
{
	if (l && --l->refs == 0)
		free(l);
}

bool lineage_has(const struct lineage *l, pid_t pid)
{
	for (uint32_t i = 0; i < l->count; i++) {
		if (l->pids[i] == pid)
			return true;
	}
	return false;
}
