/* sync_point: named places in the real code at which a test may stop it.
 *
 * SYNC_POINT("acquire.granted-not-read") says what is true there, not what the
 * code does next; the name is unique in the program, `noun.state`. Unless a
 * test has set the hook it is one load and one branch never taken. It may
 * stand in a signal handler, keeps errno, and owns no thread and no
 * descriptor. Nothing in the product sets the hook: a test finds it by the
 * symbol table of the file (tests/schedule/hooks.c), so there is no switch
 * that an environment could throw in a daemon of root's.
 *
 * Never between taking a lock and leaving it, unless a test shall be able to
 * stop everybody there.
 */
#ifndef TTYLOCK_SYNC_POINT_H
#define TTYLOCK_SYNC_POINT_H

#include <stddef.h>

/* Weak, so that each object brings it along and a test of one object links
 * nothing else; hidden, so that each program and library has its own and
 * exports none. */
__attribute__((weak, visibility("hidden"))) void (*sync_point_hook)(const char *name);

#define SYNC_POINT(name)                                                                           \
	do {                                                                                       \
		void (*sync_point_fn)(const char *) =                                              \
		    __atomic_load_n(&sync_point_hook, __ATOMIC_ACQUIRE);                           \
		if (__builtin_expect(sync_point_fn != NULL, 0))                                    \
			sync_point_fn("" name);                                                    \
	} while (0)

#endif
