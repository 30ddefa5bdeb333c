/* endpoint: the daemon's place in the file system: its socket, and the lock that
 * makes sure that one daemon alone serves it.
 *
 * The lock is flock(2) on PATH.lock, held from before the socket is made until
 * after it is unlinked. The lock file stays: removing it would let two daemons
 * lock two files of one name.
 */
#ifndef TTYLOCK_ENDPOINT_H
#define TTYLOCK_ENDPOINT_H

#include <sys/types.h>

struct endpoint {
	int listener; /* non-blocking */
	int lock;     /* -1: the socket was given to us and is not ours to remove */
	char path[108];
};

/* Makes PATH and listens there; its directory must exist. mode: of the socket.
 * 0; -EADDRINUSE: another daemon serves PATH, and answers there; or -errno:
 * -ENAMETOOLONG, -EPERM (the directory or the lock file is not safe), -ENOTSOCK
 * (something else is in the way), or what the system calls say. */
int endpoint_open(const char *path, mode_t mode, struct endpoint *out);

/* A listening Unix stream socket that we were started with. 0 or -errno. */
int endpoint_adopt(int fd, struct endpoint *out);

/* Unlinks what is ours, then closes: a client still in the backlog sees a reset,
 * and finds no socket or another daemon's. */
void endpoint_close(struct endpoint *e);

#endif
