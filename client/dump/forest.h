/* forest: the processes that a dump is about, parents before children.
 *
 * ttylock's own helpers are left out, whoever asks: their children count as
 * their parents'.
 */
#ifndef DUMP_FOREST_H
#define DUMP_FOREST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct forest_node {
	pid_t pid, ppid; /* ppid: as drawn; 0: a root */
	pid_t parent;	 /* as it is */
	pid_t tracer;	 /* 0: none, or a dump like this one */
	uid_t uid;
	char state;
	char comm[32];
	unsigned depth;
	bool debugs; /* it is the tracer of one of the others */
};

struct forest {
	struct forest_node *nodes;
	size_t count;
};

/* Each returns 0 or -errno; *f is to be deinitialised in any case. */

/* One process alone. -ESRCH. */
int forest_of_process(struct forest *f, pid_t pid);

/* A process and all below it, with those that name it in their environment as
 * the `ttylock run` they come from though their parents have died. -ESRCH. */
int forest_of_tree(struct forest *f, pid_t root);

/* All whose controlling terminal this is. */
int forest_of_terminal(struct forest *f, unsigned device);

void forest_deinit(struct forest *f);

#endif
