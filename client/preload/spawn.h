/*
 * Starting the helper (`ttylock debug`) from a crashed process, which must not notice that it has a
 * child.
 */
#ifndef PRELOAD_SPAWN_H
#define PRELOAD_SPAWN_H

#include "turn.h"

/* Prepared by the constructor; read-only afterwards. */
struct helper {
	const char *path;
	char **envp;
	/* libc's own clone(2) wrapper: ThreadSanitizer puts one before it that takes locks */
	int (*clone)(int (*run)(void *), void *stack, int flags, void *arg, ...);
};

/*
 * Start "path debug --crashed sig --thread tid --gate FD pid", where FD is a copy of gate that
 * survives exec. The helper is no child of ours; its signals are still blocked. Returns 0 when it
 * has been exec'ed, or -errno. Async-signal-safe.
 */
int spawn_helper(const struct helper *helper, struct turn *room, int sig, int gate);

#endif
