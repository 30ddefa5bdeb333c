#include "procstat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
