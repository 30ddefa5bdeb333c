#include "lineage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
