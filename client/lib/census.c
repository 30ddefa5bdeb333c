#include "census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "deadline.h"
#include "procfs.h"

#define VALID_MS 1000
/* More than these are better listed. */
#define NEW_MAX 512
/* One has its number a moment before it can be found. */
#define MARGIN 64

/* The process number given out last; -1: it cannot be told. */
static pid_t last_given(void)
{
	char text[128];
	struct statfs fs;
	int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	/* Containers may have another one laid over it, which counts otherwise. */
	bool is_kernels = fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
	ssize_t n = is_kernels ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	const char *at = strrchr(text, ' ');
	return at ? atoi(at) : -1;
}

static bool add(struct census *c, pid_t pid)
{
	if (c->count == c->room) {
		size_t room = c->room ? 2 * c->room : 256;
		pid_t *grown = reallocarray(c->pids, room, sizeof(*grown));

		if (!grown)
			return false;
		c->pids = grown;
		c->room = room;
	}
	c->pids[c->count++] = pid;
	return true;
}

static int list(struct census *c)
{
	bool good = true;

	/* Before they are listed. */
	c->last = last_given();
	c->taken = clock_ms();
	c->count = 0;
	DIR *dir = opendir("/proc");
	if (!dir)
		return -errno;
	for (struct dirent *d; good && (d = readdir(dir));) {
		if (atoi(d->d_name) > 0)
			good = add(c, atoi(d->d_name));
	}
	closedir(dir);
	return good ? 0 : -ENOMEM;
}

/* A thread has a number, too. */
static bool is_process(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno == EMFILE || errno == ENFILE || errno == ENOSYS || errno == EPERM;
}

/* Whether all who came since they were listed have been added. */
static bool update(struct census *c)
{
	pid_t now = c->last > 0 && clock_ms() - c->taken < VALID_MS ? last_given() : -1;
	size_t known = c->count;

	if (now < c->last || now - c->last > NEW_MAX)
		return false;
	for (pid_t pid = c->last > MARGIN ? c->last - MARGIN : 1; pid <= now; pid++) {
		bool is_known = false;

		if (getpgid(pid) < 0 && errno == ESRCH)
			continue;
		for (size_t i = 0; !is_known && i < known; i++)
			is_known = c->pids[i] == pid;
		if (!is_known && is_process(pid) && !add(c, pid))
			return false;
	}
	c->last = now;
	return true;
}

/* To have its stat file written out takes the kernel long; but a security module may
 * forbid the one and not the other. */
static bool is_of_group(pid_t pid, pid_t pgrp)
{
	struct procfs_stat ps;
	pid_t group = getpgid(pid);

	return group == pgrp ||
	       (group < 0 && errno == EPERM && procfs_stat(pid, &ps) == 0 && ps.pgrp == pgrp);
}

int census_each_of_group(struct census *c, pid_t pgrp, int (*fn)(pid_t pid, void *arg), void *arg)
{
	pid_t self = getpid();
	int r = update(c) ? 0 : list(c);

	for (size_t i = 0; r == 0 && i < c->count; i++) {
		if (c->pids[i] != self && is_of_group(c->pids[i], pgrp))
			r = fn(c->pids[i], arg);
	}
	return r;
}

void census_forget(struct census *c)
{
	free(c->pids);
	*c = (struct census){0};
}
