/* address: where the daemon's socket is.
 *
 * In order: $TTYLOCK_SOCKET alone if it is set; the system's; the user's own,
 * below the user's runtime directory or, without one, in a directory of the
 * user's below /tmp. The latter alone while a daemon that was started on demand
 * has its record there: the system's may have come later. For root it is, in
 * place of its own, the one of the user who owns the terminal, so that one daemon
 * has that terminal. A set-user-ID program ignores the environment and the
 * terminal. Makes the user's directory, but no socket.
 */
#ifndef TTYLOCK_ADDRESS_H
#define TTYLOCK_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ADDRESS_MAX    108 /* sun_path */
#define ADDRESS_SYSTEM "/run/ttylock/ttylock.sock"

struct addresses {
	size_t count;
	char path[2][ADDRESS_MAX]; /* the last one is where a daemon may be started, */
	uid_t owner;		   /* as this user, */
	gid_t group;		   /* in this group if that is not ourselves */
};

/* 0; -ENAMETOOLONG: a path does not fit a socket's address. */
int addresses_find(struct addresses *a);

/* Of our own, whatever the environment's TTYLOCK_SOCKET and the terminal: for files
 * beside the socket. */
int address_own(char out[ADDRESS_MAX]);

/* Whether a daemon of that user may tell us whose turn it is. */
bool address_trusts(uid_t listener);

/* Where none of them answers: whether a service was stopped, the system's or a user
 * manager's, to which somebody is known. A daemon in its place would know nothing of
 * those. */
bool addresses_have_record(const struct addresses *a);

/* Makes the directory of a user's socket where it is missing, and checks that
 * it is a directory of ours that nobody else can write to. 0; -EACCES: it is
 * not; -errno of mkdir(2) and lstat(2). */
int address_prepare(const char *path);

#endif
