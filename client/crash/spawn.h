/*
 * Starting the helper from a process that must not notice that it has a child.
 */
#ifndef CRASH_SPAWN_H
#define CRASH_SPAWN_H

#include "helper.h"
#include "room.h"

#include <sys/types.h>

/*
 * Have run(arg) in a process that borrows our memory until it execs or ends, which is when we go
 * on. It is no child of ours; its signals are still blocked; run must end it by exit_group. Returns
 * its pid, or -errno. Async-signal-safe; all signals are to be blocked.
 */
pid_t spawn_process(
    const struct helper *helper, struct room *room, int (*run)(void *arg), void *arg);

/* What the helper is started for: a private option of `ttylock debug` and its value. */
struct errand {
	const char *option;
	const char *value;
};

/*
 * Start "ttylock debug OPTION VALUE --thread TID --gate FD PID", where FD is a copy of gate that
 * survives exec. The helper is no child of ours; its signals are still blocked. Returns 0 when it
 * has been exec'ed, or -errno. Async-signal-safe; all signals are to be blocked.
 */
int spawn_helper(
    const struct helper *helper, struct room *room, const struct errand *errand, int gate);

#endif
