#include "cred.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "policy.h"
#include "procstat.h"
#include "text.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446
#endif

/* SO_PEERPIDFD names the very process that connected. Before Linux 6.5 there is
 * only its number, which may by now be another's: the connection would have to
 * outlive its process and the number come round meanwhile. */
static int pidfd_get(int sock, pid_t pid)
{
	int fd = -1;
	socklen_t len = sizeof(fd);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	if (errno == EINVAL || errno == ENODATA)
		return -ESRCH; /* reaped already */
	if (errno != ENOPROTOOPT)
		return -errno;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd >= 0 ? fd : -errno;
}

/* On pidfs (Linux 6.9) the inode number is never used twice; on the anonymous
 * inodes before it all pidfds share one, and pid and start have to do. */
static int process_key(int pidfd, pid_t pid, uint64_t *key)
{
	struct procstat stat;
	struct statfs fs;
	struct stat st;

	if (fstatfs(pidfd, &fs) < 0)
		return -errno;
	if (fs.f_type == PID_FS_MAGIC) {
		if (fstat(pidfd, &st) < 0)
			return -errno;
		*key = st.st_ino;
		return 0;
	}
	int rc = procstat_read(pid, &stat);
	if (rc == 0)
		*key = stat.start << 22 | (uint64_t)pid; /* no pid is larger */
	return rc;
}

bool cred_alive(const struct cred *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	/* One that only could not be looked at is not dead. */
	return c->pidfd >= 0 && poll(&p, 1, 0) <= 0;
}

void cred_comm(pid_t pid, char *comm, size_t size)
{
	char path[32], raw[64];
	ssize_t n = -1;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (fd >= 0) {
		n = read(fd, raw, sizeof(raw));
		close(fd);
	}
	/* The kernel ends it with a newline; another one may be part of it. */
	if (n > 0 && raw[n - 1] == '\n')
		n--;
	if (n > 0)
		text_clean(comm, size, raw, (size_t)n);
	else
		snprintf(comm, size, "?");
}

int cred_claim(int sock, struct cred *out)
{
	struct ucred u;
	socklen_t len = sizeof(u);

	*out = (struct cred){.uid = (uid_t)-1, .pidfd = -1, .comm = "?"};
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &u, &len) < 0)
		return -errno;
	out->uid = u.uid;
	out->pid = u.pid;
	return u.pid <= 0 || u.uid == POLICY_UID_OVERFLOW || u.uid == (uid_t)-1 ? -EACCES : 0;
}

int cred_read(int sock, struct cred *out)
{
	int rc = cred_claim(sock, out);
	if (rc < 0)
		return rc;

	struct cred c = *out;
	c.pidfd = pidfd_get(sock, c.pid);
	if (c.pidfd < 0)
		return c.pidfd;
	rc = process_key(c.pidfd, c.pid, &c.process);
	cred_comm(c.pid, c.comm, sizeof(c.comm));
	/* Alive after the reading, so what was read by number was its own. */
	if (rc == 0 && !cred_alive(&c))
		rc = -ESRCH;
	if (rc < 0) {
		cred_close(&c);
		return rc;
	}
	*out = c;
	return 0;
}

int cred_find(pid_t pid, uint64_t process, struct cred *out)
{
	struct cred c = {.pid = pid, .process = process};

	c.pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (c.pidfd < 0)
		/* A thread's number now: EINVAL, later kernels say ENOENT. */
		return pid > 0 && errno != EINVAL && errno != ENOENT ? -errno : -ESRCH;
	uint64_t key;
	int rc = process_key(c.pidfd, pid, &key);
	if (rc == 0 && (key != process || !cred_alive(&c)))
		rc = -ESRCH;
	if (rc < 0) {
		cred_close(&c);
		return rc;
	}
	*out = c;
	return 0;
}

void cred_close(struct cred *c)
{
	if (c->pidfd >= 0)
		close(c->pidfd);
	c->pidfd = -1;
}
