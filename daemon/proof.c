#include "proof.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "discard.h"
#include "text.h"

#define PTY_MASTER_MAJOR 2
#define TTYAUX_MAJOR	 5
#define PTS_MAJOR_FIRST	 136
#define PTS_MAJOR_LAST	 143

/* Whether it is a character device, asked without a call that a file system in
 * user space could leave unanswered: that would stop the whole daemon. */
static int type_check(int fd, dev_t *rdev)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &x) < 0)
		return -errno;
	if (!S_ISCHR(x.stx_mode))
		return -ENOTTY;
	*rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor);
	return 0;
}

/* The open mode, and that it is the terminal's own end: on a master TIOCGDEV
 * would give the slave's number. */
static int tty_check(int fd, dev_t rdev, uint32_t *device)
{
	struct {
		char padding[64]; /* larger than the kernel's termios */
	} termios;
	unsigned number;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if ((flags & O_PATH) || (flags & O_ACCMODE) != O_RDWR)
		return -EACCES;
	if (ioctl(fd, TCGETS, &termios) < 0)
		return errno == EIO ? -EIO : -ENOTTY;
	if (major(rdev) == PTY_MASTER_MAJOR || ioctl(fd, TIOCGPTN, &number) == 0)
		return -EACCES;
	if (ioctl(fd, TIOCGDEV, &number) < 0)
		return -errno;
	*device = number;
	return 0;
}

/* TIOCGDEV uses the kernel's own 32-bit coding, which is glibc's low half. */
static dev_t device_number(uint32_t device)
{
	return (dev_t)device;
}

static int handle_check(int handle, uint32_t device)
{
	struct stat st;

	if (fstat(handle, &st) < 0)
		return -errno;
	return S_ISCHR(st.st_mode) && st.st_rdev == device_number(device) ? 0 : -EACCES;
}

/* Opens the node behind a /dev/tty or /dev/console by its number. */
static int node_open(uint32_t device, char *path, size_t size)
{
	unsigned maj = major(device_number(device)), min = minor(device_number(device));

	if (maj >= PTS_MAJOR_FIRST && maj <= PTS_MAJOR_LAST) {
		snprintf(path, size, "/dev/pts/%u", (maj - PTS_MAJOR_FIRST) * 256 + min);
	} else {
		char link[64], target[128];

		snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", maj, min);
		ssize_t n = readlink(link, target, sizeof(target) - 1);
		if (n < 0)
			return -errno;
		target[n] = '\0';
		const char *name = strrchr(target, '/');
		if ((size_t)snprintf(path, size, "/dev/%s", name ? name + 1 : target) >= size)
			return -ENAMETOOLONG;
	}
	int handle = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	return handle >= 0 ? handle : -errno;
}

/* /dev/tty names no file system, so /dev/pts/N here might be another terminal
 * than the peer's, which may live with a devpts of its own. Its /dev/pts must be
 * ours; where we may not look, the terminal must at least belong to it. */
static int same_pts(int handle, pid_t pid, uid_t uid)
{
	char path[64];
	struct stat theirs, st;

	if (fstat(handle, &st) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/root/dev/pts", (int)pid);
	if (stat(path, &theirs) == 0)
		return theirs.st_dev == st.st_dev ? 0 : -EACCES;
	return uid == 0 || st.st_uid == uid ? 0 : -EACCES;
}

/* The handle of a descriptor whose own node is not the terminal's. */
static int alias_handle(uint32_t device, pid_t pid, uid_t uid, char *path, size_t size)
{
	int handle = node_open(device, path, size);
	if (handle < 0)
		return handle;

	int rc = handle_check(handle, device);
	if (rc == 0 && major(device_number(device)) >= PTS_MAJOR_FIRST)
		rc = same_pts(handle, pid, uid);
	if (rc < 0) {
		close(handle);
		return rc;
	}
	return handle;
}

static int own_handle(int fd, uint32_t device, char *path, size_t size)
{
	char link[32], raw[256];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, raw, sizeof(raw) - 1);
	int handle = n < 0 ? -1 : open(link, O_PATH | O_CLOEXEC);
	if (handle < 0)
		return -errno;
	if ((size_t)n < size)
		text_clean(path, size, raw, (size_t)n);
	else
		snprintf(path, size, "tty%u:%u", major(device_number(device)),
		    minor(device_number(device)));
	return handle;
}

static int examine(int fd, pid_t pid, uid_t uid, dev_t rdev, struct proof *p)
{
	struct stat st;

	int rc = tty_check(fd, rdev, &p->device);
	if (rc < 0)
		return rc;
	if (rdev != device_number(p->device) && major(rdev) == TTYAUX_MAJOR)
		p->handle = alias_handle(p->device, pid, uid, p->path, sizeof(p->path));
	else
		p->handle = own_handle(fd, p->device, p->path, sizeof(p->path));
	if (p->handle < 0)
		return p->handle;
	if (fstat(p->handle, &st) < 0 || st.st_nlink == 0) {
		proof_close(p);
		return -EIO;
	}
	p->filesystem = st.st_dev;
	return 0;
}

int proof_take(int fd, pid_t pid, uid_t uid, struct proof *out)
{
	struct proof p = {.handle = -1};
	dev_t rdev;

	int rc = type_check(fd, &rdev);
	if (rc < 0) {
		discard(fd);
		return rc;
	}
	rc = examine(fd, pid, uid, rdev, &p);
	close(fd);
	if (rc == 0)
		*out = p;
	return rc;
}

bool proof_holds(const struct proof *p)
{
	struct stat st;

	return fstat(p->handle, &st) == 0 && st.st_nlink > 0;
}

void proof_close(struct proof *p)
{
	if (p->handle >= 0)
		close(p->handle);
	p->handle = -1;
}
