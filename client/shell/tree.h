/* tree: the processes below one `ttylock run`, and its agent, as the
 * environment tells of them. */
#ifndef TTYLOCK_TREE_H
#define TTYLOCK_TREE_H

#include <stdbool.h>
#include <sys/types.h>

/* The agent of our tree while it lives; 0: none. */
pid_t tree_agent(void);

/* Whether we are of a tree whose agent has died. */
bool tree_is_orphaned(void);

/* The process by whose job it is told whether a debugger of pid may have the
 * terminal: pid itself, or the agent for one that has lost its parents. */
pid_t tree_job_of(pid_t pid);

/* A process group of the tree to fall back on: the agent's, else that of pid. */
pid_t tree_home(pid_t pid);

#endif
