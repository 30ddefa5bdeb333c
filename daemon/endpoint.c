#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096
/* How long another daemon may take from its lock to its socket, or from
 * unlinking it to its end. */
#define SETTLE_TRIES 200
static const struct timespec settle_pause = {0, 10 * 1000 * 1000};

static int address_set(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	strcpy(a->sun_path, path);
	return 0;
}

/* Nobody but us and root can put something else in the socket's place. */
static int directory_check(const char *path)
{
	char dir[PATH_MAX];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (!slash)
		return -EINVAL;
	slash[slash == dir] = '\0';
	if (stat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	bool sticky = st.st_mode & S_ISVTX;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || ((st.st_mode & S_IWOTH) && !sticky))
		return -EPERM;
	return 0;
}

static int lock_open(const char *path)
{
	char name[PATH_MAX];
	struct stat st;

	if ((size_t)snprintf(name, sizeof(name), "%s.lock", path) >= sizeof(name))
		return -ENAMETOOLONG;
	int fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

/* 1: somebody listens there. A full backlog is somebody, too. 0: nobody; what only could
 * not be found out is an error: somebody's socket must not be taken for a stale one. */
static int answers(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;

	int rc = connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 ? 1 : -errno;
	close(fd);
	if (rc == -ECONNREFUSED || rc == -ENOENT)
		return 0;
	return rc == -EAGAIN ? 1 : rc;
}

/* The lock, or -EADDRINUSE once the one who has it answers. One who has it and
 * does not is starting or ending: that takes no time worth giving up for. */
static int lock_take(int lock, const struct sockaddr_un *a)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		bool taken = flock(lock, LOCK_EX | LOCK_NB) == 0;

		if (!taken && errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		int rc = answers(a); /* one that takes no lock, too */
		if (rc != 0 || taken)
			return rc > 0 ? -EADDRINUSE : rc;
		nanosleep(&settle_pause, NULL);
	}
	return -EADDRINUSE;
}

static int stale_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int listen_at(const struct sockaddr_un *a, mode_t mode)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;

	/* By umask, so that there is no moment with another mode. */
	mode_t old = umask(0777 & ~mode);
	int rc = bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ? -errno : 0;
	umask(old);
	if (rc == 0 && listen(fd, BACKLOG) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int endpoint_open(const char *path, mode_t mode, struct endpoint *out)
{
	struct sockaddr_un a;
	struct endpoint e = {.listener = -1, .lock = -1};

	int rc = address_set(&a, path);
	if (rc == 0)
		rc = directory_check(path);
	if (rc < 0)
		return rc;
	e.lock = lock_open(path);
	if (e.lock < 0)
		return e.lock;
	rc = lock_take(e.lock, &a);
	if (rc == 0)
		rc = stale_remove(path);
	if (rc == 0) {
		e.listener = listen_at(&a, mode);
		rc = e.listener < 0 ? e.listener : 0;
	}
	if (rc < 0) {
		close(e.lock);
		return rc;
	}
	strcpy(e.path, path);
	*out = e;
	return 0;
}

int endpoint_adopt(int fd, struct endpoint *out)
{
	int rc = sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOTSOCK;

	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	*out = (struct endpoint){.listener = fd, .lock = -1, .path = "(given)"};
	return 0;
}

void endpoint_close(struct endpoint *e)
{
	if (e->lock >= 0)
		unlink(e->path);
	close(e->listener);
	if (e->lock >= 0)
		close(e->lock);
	e->listener = e->lock = -1;
}
