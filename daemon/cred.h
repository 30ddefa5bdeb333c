/* cred: who is at the other end of a connection, as the kernel knows it.
 *
 * Read once, at accept. Owns the pidfd. Must never believe a message about it,
 * and never signal anybody: a pidfd here is only looked at.
 */
#ifndef TTYLOCK_CRED_H
#define TTYLOCK_CRED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cred {
	uid_t uid;
	pid_t pid;	  /* for people; the identity is `process` */
	int pidfd;	  /* readable when the process is dead */
	uint64_t process; /* unique among living processes */
	char comm[32];	  /* cleaned; "?" when it cannot be read */
};

/* Reads it for a connected socket. 0; -EACCES when the process or user has no
 * identity here (another pid or user namespace), -ESRCH when it is gone
 * already, or -errno. Any error means: deny; then *out is for the log alone: the
 * pid and uid that were told, without a pidfd. */
int cred_read(int sock, struct cred *out);

/* Who process `process` is, as long as it has that pid: for one that was known
 * before. out->uid and ->comm are the caller's to set. 0; -ESRCH: it is dead; or
 * -errno. */
int cred_find(pid_t pid, uint64_t process, struct cred *out);

/* The cheap part of that: uid and pid alone, without a pidfd; enough to turn
 * somebody away. 0, -EACCES or -errno. */
int cred_claim(int sock, struct cred *out);

/* Closes the pidfd; fine on one that is closed (-1). */
void cred_close(struct cred *c);

bool cred_alive(const struct cred *c);

/* The cleaned command name of a process, or "?"; for people only. */
void cred_comm(pid_t pid, char *comm, size_t size);

#endif
