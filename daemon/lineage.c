#include "lineage.h"

#include <stdlib.h>
#include <string.h>

#include "procstat.h"

struct lineage *lineage_read(pid_t pid)
{
	pid_t pids[LINEAGE_MAX];
	uint32_t n = 0;

	while (n < LINEAGE_MAX && pid > 0) {
		pids[n++] = pid;
		pid = pid == 1 ? 0 : procstat_parent(pid);
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
