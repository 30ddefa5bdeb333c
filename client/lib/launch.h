/* launch: starts ttylockd on demand.
 *
 * The daemon becomes nobody's child: the host program sees no child process
 * and no SIGCHLD that it can reap.
 */
#ifndef TTYLOCK_LAUNCH_H
#define TTYLOCK_LAUNCH_H

#include <stdint.h>

struct addresses;

/* Starts a daemon at the last of the paths, as its owner, and waits until it
 * listens, or until it has found another one there. 0; -ENOENT: no ttylockd beside
 * this program, in $PATH or in the usual places; -EHOSTDOWN: a service was
 * stopped, and only that may serve there; -EACCES: the socket's directory is not ours
 * alone; -ECHILD: it ended at once (its log, ttylockd.log beside the socket,
 * says why); -ETIMEDOUT; -errno of pipe2(2) and fork(2). */
int launch_daemon(const struct addresses *a, int64_t deadline);

#endif
