#include "procstat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Large enough for the first 22 fields, the name of up to 64 bytes among them. */
static ssize_t line_read(pid_t pid, char *text, size_t size)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	ssize_t n = read(fd, text, size - 1);
	int error = errno;
	close(fd);
	if (n < 0)
		return -error;
	text[n] = '\0';
	return n;
}

int procstat_read(pid_t pid, struct procstat *out)
{
	unsigned long long ticks;
	char text[512];
	int parent;

	ssize_t n = line_read(pid, text, sizeof(text));
	if (n < 0)
		return (int)n;
	/* The name, the second field, may hold anything, ") S 1" as well: count from
	 * its end to the fourth and the 22nd. */
	const char *rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1,
			 " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
			 " %*d %*d %llu",
			 &parent, &ticks) != 2)
		return -EBADMSG;
	*out = (struct procstat){.parent = parent, .start = ticks};
	return 0;
}

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

pid_t procstat_parent(pid_t pid)
{
	struct procstat stat;
	pid_t parent = parent_asked(pid);

	if (parent >= 0)
		return parent;
	return procstat_read(pid, &stat) == 0 ? stat.parent : 0;
}
