/*
 * A copy of the environment as the program got it: programs overwrite theirs (to set a title for
 * ps), and a crash may have smashed it. The helper is started with this copy.
 */
#ifndef CRASH_ENVIRONMENT_H
#define CRASH_ENVIRONMENT_H

#include <stddef.h>

/* Bytes that environment_copy() needs for this environment: the pointers and the strings. */
size_t environment_size(char *const *from);

/* Write the copy into block, which is aligned and has environment_size() bytes. Returns the envp
 * inside it. */
char **environment_copy(void *block, char *const *from);

/* The value of name in an envp, or NULL. */
const char *environment_get(char *const *from, const char *name);

#endif
