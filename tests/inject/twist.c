#include "twist.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <poll.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446
#endif

#define MS 1000000ll
/* So that libraries find it. */
#define EXPORTED __attribute__((visibility("default")))

void *__real_mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset);
long __real_syscall(long n, ...);

static struct twist {
	int64_t ahead, still; /* ns; still: the time at which it stands, 0: it does not */
	int naps;	      /* so many times as long as they are; 0: once */
	bool of_driver, old_kernel, yama;
	unsigned uid, device; /* 0: the truth */
} * twist;
static int haste = 1;

static int64_t real_now(clockid_t clock)
{
	struct timespec t;

	__real_syscall(SYS_clock_gettime, clock, &t);
	return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

static int64_t now(clockid_t clock)
{
	return (twist->still ? twist->still : real_now(clock)) + twist->ahead;
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *t)
{
	if (!twist || !twist->of_driver ||
	    (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE))
		return (int)__real_syscall(SYS_clock_gettime, clock, t);
	int64_t ns = now(CLOCK_MONOTONIC);
	*t = (struct timespec){ns / (1000 * MS), ns % (1000 * MS)};
	return 0;
}

static int wait_really(int fd, struct epoll_event *events, int max, int ms)
{
	return (int)__real_syscall(SYS_epoll_pwait, fd, events, max, ms, NULL, 8);
}

/* In small pieces, for the time may be another when it comes back. */
EXPORTED int epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
	if (!twist || !twist->of_driver || ms <= 0)
		return wait_really(fd, events, max, ms);
	int64_t end = now(CLOCK_MONOTONIC) + ms * MS;
	int n;

	do {
		n = wait_really(fd, events, max, 2);
	} while (n == 0 && now(CLOCK_MONOTONIC) < end);
	return n;
}

EXPORTED int nanosleep(const struct timespec *nap, struct timespec *left)
{
	if (twist && twist->naps)
		__atomic_add_fetch(&twist->ahead,
		    (twist->naps - 1) * (nap->tv_sec * 1000 * MS + nap->tv_nsec), __ATOMIC_RELAXED);
	return (int)__real_syscall(SYS_nanosleep, nap, left);
}

EXPORTED int poll(struct pollfd *fds, nfds_t count, int ms)
{
	int64_t ns = ms * MS / haste;
	struct timespec limit = {ns / (1000 * MS), ns % (1000 * MS)};
	int n = (int)__real_syscall(SYS_ppoll, fds, count, ms < 0 ? NULL : &limit, NULL, 8);

	if (n == 0 && ms > 0 && haste > 1)
		__atomic_add_fetch(&twist->ahead, ms * MS - ns, __ATOMIC_RELAXED);
	return n;
}

EXPORTED int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	int rc = (int)__real_syscall(SYS_ioctl, fd, request, arg);
	if (rc == 0 && request == TIOCGDEV && twist && twist->device)
		*(unsigned *)arg = twist->device;
	return rc;
}

EXPORTED int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
	if (option == SO_PEERPIDFD && twist && twist->old_kernel) {
		errno = ENOPROTOOPT;
		return -1;
	}
	int rc = (int)__real_syscall(SYS_getsockopt, fd, level, option, value, size);

	if (rc == 0 && option == SO_PEERCRED && twist && twist->uid)
		((struct ucred *)value)->uid = twist->uid;
	return rc;
}

EXPORTED int close_range(unsigned first, unsigned last, int flags)
{
	if (twist && twist->old_kernel) {
		errno = ENOSYS;
		return -1;
	}
	return (int)__real_syscall(SYS_close_range, first, last, flags);
}

EXPORTED int fstatfs(int fd, struct statfs *s)
{
	int rc = (int)__real_syscall(SYS_fstatfs, fd, s);

	if (rc == 0 && twist && twist->old_kernel && s->f_type == PID_FS_MAGIC)
		s->f_type = ANON_INODE_FS_MAGIC;
	return rc;
}

void twist_init(void)
{
	twist = __real_mmap(
	    NULL, sizeof(*twist), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (twist == MAP_FAILED)
		abort();
}

void twist_off(void)
{
	*twist = (struct twist){0};
}

void twist_skip(int64_t ms)
{
	twist->of_driver = true;
	twist->ahead += ms * MS;
}

void twist_stop(bool still)
{
	twist->of_driver = true;
	twist->still = still ? real_now(CLOCK_MONOTONIC) : 0;
}

void twist_naps(int times)
{
	twist->of_driver = true;
	twist->naps = times;
}

void twist_polls(int times)
{
	twist->of_driver = true;
	haste = times;
}

void twist_user(unsigned uid)
{
	twist->uid = uid;
}

void twist_kernel(void)
{
	twist->old_kernel = true;
}

void twist_yama(void)
{
	twist->yama = true;
}

const char *twist_path(const char *path)
{
	bool asked =
	    twist && twist->yama && strcmp(path, "/proc/sys/kernel/yama/ptrace_scope") == 0;

	return asked ? TWIST_YAMA : path;
}

void twist_device(unsigned device)
{
	twist->device = device;
}
