/* beside: the files of ours that this program needs at run time. */
#ifndef TTYLOCK_SHELL_BESIDE_H
#define TTYLOCK_SHELL_BESIDE_H

#include <limits.h>

/* This program's own path. 0 or -errno. */
int beside_self(char out[PATH_MAX]);

/* The file of that name beside this program, or where an installation has it. 0;
 * -ENOENT; or -errno. */
int beside_find(const char *name, char out[PATH_MAX]);

#endif
