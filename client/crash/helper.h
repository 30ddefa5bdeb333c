/*
 * What a crash or a breakpoint will need to start the helper (`ttylock debug`), set aside while the
 * process is whole.
 */
#ifndef CRASH_HELPER_H
#define CRASH_HELPER_H

#include <stdbool.h>
#include <stddef.h>

/* Lies in its own block of memory, which is read-only. */
struct helper {
	const char *path;
	char **envp;
	/* libc's own clone(2) wrapper: ThreadSanitizer puts one before it that takes locks */
	int (*clone)(int (*run)(void *), void *stack, int flags, void *arg, ...);
	size_t size; /* of the block */
};

/*
 * With a copy of env, and of path (NULL: the TTYLOCK_HELPER of env). stack: the block's end is an
 * alternate stack for the calling thread, if it has none, with the rest of the block as its guard.
 * NULL: no memory.
 */
struct helper *helper_new(const char *path, char *const *env, bool stack);

/* Not for one that has given its stack away. */
void helper_free(struct helper *helper);

#endif
