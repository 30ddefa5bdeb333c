/* address: where the daemon's socket is.
 *
 * In order: $TTYLOCK_SOCKET alone if it is set; the system's; the user's own,
 * below $XDG_RUNTIME_DIR or, without one, in a directory of the user's below
 * /tmp. A set-user-ID program ignores the environment. Makes the user's
 * directory, but no socket.
 */
#ifndef TTYLOCK_ADDRESS_H
#define TTYLOCK_ADDRESS_H

#include <stddef.h>

#define ADDRESS_MAX    108 /* sun_path */
#define ADDRESS_SYSTEM "/run/ttylock/ttylock.sock"

struct addresses {
	size_t count;
	char path[2][ADDRESS_MAX]; /* the last one is where a daemon may be started */
};

/* 0; -ENAMETOOLONG: a path does not fit a socket's address. */
int addresses_find(struct addresses *a);

/* Makes the directory of a user's socket where it is missing, and checks that
 * it is a directory of ours that nobody else can write to. 0; -EACCES: it is
 * not; -errno of mkdir(2) and lstat(2). */
int address_prepare(const char *path);

#endif
