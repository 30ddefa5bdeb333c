/* By the arguments of its system call, which for poll(2) and select(2) are in the
 * process's memory; select's set of descriptors is written only at its end. Must not
 * disturb that process: nothing here stops it. */
#include "input.h"

#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "procfs.h"
#include "terminal.h"

/* Who waits for more is no program at a terminal. */
#define POLLED_MAX 1024

struct call {
	pid_t pid, thread;
	int tty;
	int number;
	uint64_t arg[2];
};

static bool is_terminal(const struct call *c, uint64_t fd)
{
	char path[64];
	struct stat st;
	unsigned dev;

	snprintf(path, sizeof(path), "/proc/%d/fd/%llu", (int)c->pid, (unsigned long long)fd);
	if (stat(path, &st) < 0 || !S_ISCHR(st.st_mode) || terminal_device(c->tty, &dev) < 0)
		return false;
	/* Its /dev/tty is its own controlling terminal, not ours. */
	if (st.st_rdev == makedev(5, 0)) {
		struct procfs_stat ps;
		return procfs_stat(c->pid, &ps) == 0 && ps.tty == (int)dev;
	}
	return st.st_rdev == makedev(major(dev), minor(dev));
}

static bool copy(const struct call *c, uint64_t from, void *to, size_t size)
{
	struct iovec here = {to, size}, there = {(void *)(uintptr_t)from, size};

	return process_vm_readv(c->pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

static bool is_polled(const struct call *c)
{
	struct pollfd fds[POLLED_MAX];
	uint64_t count = c->arg[1];

	if (count > POLLED_MAX || !copy(c, c->arg[0], fds, count * sizeof(*fds)))
		return false;
	for (uint64_t i = 0; i < count; i++)
		if (fds[i].fd >= 0 && (fds[i].events & (POLLIN | POLLRDNORM)) &&
		    is_terminal(c, (uint64_t)fds[i].fd))
			return true;
	return false;
}

static bool is_selected(const struct call *c)
{
	uint64_t set[FD_SETSIZE / 64] = {0}, count = c->arg[0];

	if (count > FD_SETSIZE || !copy(c, c->arg[1], set, (count + 63) / 64 * 8))
		return false;
	for (uint64_t fd = 0; fd < count; fd++)
		if ((set[fd / 64] >> fd % 64 & 1) && is_terminal(c, fd))
			return true;
	return false;
}

static bool is_in_epoll(const struct call *c)
{
	char path[64], line[256];
	bool found = false;
	unsigned events;
	int fd;

	snprintf(
	    path, sizeof(path), "/proc/%d/fdinfo/%llu", (int)c->pid, (unsigned long long)c->arg[0]);
	FILE *in = fopen(path, "re");
	if (!in)
		return false;
	for (int i = 0; !found && i < POLLED_MAX && fgets(line, sizeof(line), in); i++)
		found = sscanf(line, "tfd: %d events: %x", &fd, &events) == 2 &&
			(events & EPOLLIN) && is_terminal(c, (uint64_t)fd);
	fclose(in);
	return found;
}

/* Of a file of /proc/PID/task/TID. */
static bool first_line(pid_t pid, pid_t thread, const char *name, char *line, int size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)thread, name);
	FILE *in = fopen(path, "re");
	if (!in)
		return false;
	bool is_there = fgets(line, size, in);
	fclose(in);
	return is_there;
}

/* A poll that was interrupted and goes on has its arguments still. So has a sleep, which
 * is another thing. */
static bool is_restarted_poll(const struct call *c)
{
	char where[64];

	return c->number == SYS_restart_syscall &&
	       first_line(c->pid, c->thread, "wchan", where, sizeof(where)) &&
	       strstr(where, "poll");
}

static bool polls(const struct call *c)
{
	switch (c->number) {
#ifdef SYS_poll
	case SYS_poll:
#endif
	case SYS_ppoll:
		return is_polled(c);
#ifdef SYS_select
	case SYS_select:
#endif
	case SYS_pselect6:
		return is_selected(c);
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return is_in_epoll(c);
	default:
		return is_restarted_poll(c) && is_polled(c);
	}
}

/* line: the thread's file of /proc that names the system call it is in. */
static enum input input_of(pid_t pid, pid_t thread, const char *line, int tty)
{
	struct call c = {.pid = pid, .thread = thread, .tty = tty};
	unsigned long long first, second;

	if (strncmp(line, "running", 7) == 0)
		return INPUT_RUNS;
	if (sscanf(line, "%d %llx %llx", &c.number, &first, &second) != 3)
		return INPUT_NONE;
	c.arg[0] = first;
	c.arg[1] = second;
	if (c.number == SYS_read || c.number == SYS_readv)
		return is_terminal(&c, c.arg[0]) ? INPUT_READ : INPUT_NONE;
	return polls(&c) ? INPUT_POLL : INPUT_NONE;
}

void input_each(
    pid_t pid, int tty, void (*fn)(pid_t pid, pid_t thread, enum input input, void *arg), void *arg)
{
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return;
	for (struct dirent *d; (d = readdir(dir));) {
		pid_t thread = atoi(d->d_name);

		if (thread > 0 && first_line(pid, thread, "syscall", line, sizeof(line)))
			fn(pid, thread, input_of(pid, thread, line, tty), arg);
	}
	closedir(dir);
}
