#include "lineage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 0: it has none here, or cannot be looked at. */
static pid_t parent_of(pid_t pid)
{
	char path[32], text[256];
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* The name may hold anything, ") S 1" as well: count from its end. */
	const char *rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

size_t lineage_read(pid_t pid, pid_t lineage[LINEAGE_MAX])
{
	size_t n = 0;

	while (n < LINEAGE_MAX && pid > 0) {
		lineage[n++] = pid;
		pid = pid == 1 ? 0 : parent_of(pid);
	}
	return n;
}
