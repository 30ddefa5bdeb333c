/* preload: the environment by which a tree's processes get crash handling. */
#ifndef TTYLOCK_SHELL_PRELOAD_H
#define TTYLOCK_SHELL_PRELOAD_H

/* Adds libttylock-preload.so, which is beside this program or where an
 * installation has it, to LD_PRELOAD behind what is there, and names this
 * program as its helper. 0; -ENOENT: there is no such library; -EINVAL: its
 * path holds a space or colon, which LD_PRELOAD cannot. */
int preload_setenv(void);

#endif
