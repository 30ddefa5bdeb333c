#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/procfs.h"

pid_t tree_agent(void)
{
	const char *text = secure_getenv("TTYLOCK_AGENT_PID");
	pid_t agent = text ? atoi(text) : 0;
	char comm[32];

	if (agent <= 1)
		return 0;
	/* The number may be another process's by now. */
	procfs_comm(agent, comm);
	return strcmp(comm, "ttylock") == 0 ? agent : 0;
}

bool tree_is_orphaned(void)
{
	return secure_getenv("TTYLOCK_AGENT_PID") && !tree_agent();
}

pid_t tree_job_of(pid_t pid)
{
	pid_t agent = tree_agent();
	struct procfs_stat ps;

	for (pid_t p = pid; p > 1 && agent; p = ps.ppid)
		if (p == agent || procfs_stat(p, &ps) < 0)
			return pid;
	return agent ? agent : pid;
}

pid_t tree_home(pid_t pid)
{
	pid_t agent = tree_agent();
	pid_t group = getpgid(agent ? agent : pid);

	return group > 0 ? group : getpgrp();
}
