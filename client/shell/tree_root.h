/* tree_root: the command of `ttylock run`: its start, its stops and its end.
 *
 * It stays out of the command's way: same process group, unless nobody above does
 * job control, and a stop of the command is one of ours.
 */
#ifndef TTYLOCK_TREE_ROOT_H
#define TTYLOCK_TREE_ROOT_H

#include <stdbool.h>
#include <sys/types.h>

#include "signals.h"
#include "upkeep.h"

struct tree_root {
	struct upkeep *upkeep; /* its terminal's */
	char **argv;
	pid_t pid;	/* 0: it has ended */
	pid_t group;	/* its own process group; 0: it is in ours */
	int status;	/* what to exit with then */
	bool killed;	/* by a signal */
	int stopped_by; /* its last stop */
	int look_ms;
	struct event *on_look; // owns
};

/* With crash handling, if there is any; as signals_restore() has it. 0, or the status
 * to exit with after a line that says why. */
int tree_root_start(struct tree_root *root, const struct signals *signals);

/* What waitpid(2) has said of it. continued: SIGCONT has come since it stopped, if it
 * did. */
void tree_root_changed(struct tree_root *root, int status, bool continued);

/* Only if our SIGCONT was for us alone: a shell sends it to the whole job, and an
 * editor takes a second one for another stop. */
void tree_root_continue(const struct tree_root *root);

/* Something has changed at the terminal, which may be what it is stopped for. */
void tree_root_look_now(struct tree_root *root);

void tree_root_deinit(struct tree_root *root);

/* Once it is gone: the foreground is ours again, unless a debugger has it. */
void tree_root_take_back_foreground(const struct tree_root *root);

#endif
