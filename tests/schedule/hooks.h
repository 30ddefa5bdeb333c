/* hooks: the sync points of whatever is loaded into this process. */
#ifndef TTYLOCK_TESTS_HOOKS_H
#define TTYLOCK_TESTS_HOOKS_H

/* Sets the hook of the program and of each library in it that has one
 * (proto/sync_point.h). Returns how many that were. */
int hooks_set(void (*fn)(const char *name));

#endif
