/*
 * Whoever reads the terminal of a group in the background has the whole group stopped, by SIGTTIN,
 * and the debugger shows that instead of what it has come for. In other processes the helper holds
 * such threads by ptrace; in this one it cannot, for the debugger will.
 *
 * Who begins to read later is not held.
 */
#include "hold.h"

#include "decimal.h"
#include "freeze.h"
#include "kernel.h"
#include "tasks.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

static char *put(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	*at = '\0';
	return at;
}

/* The descriptor that the thread reads, or -1. In its file stand the system call's number and its
 * arguments in hexadecimal, or "running". */
static int read_by(pid_t tid)
{
	char path[sizeof(TASKS_PATH) + 32], line[64], number[DECIMAL_MAX];
	int fd = 0;

	put(put(put(path, TASKS_PATH "/"), decimal(number, tid)), "/syscall");
	int file = kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	long n = file < 0 ? file : kernel(SYS_read, file, line, sizeof(line) - 1);
	if (file >= 0)
		kernel(SYS_close, file);
	if (n <= 0)
		return -1;
	line[n] = '\0';
	char *at = strchr(line, ' ');
	if (!at || strncmp(at, " 0x", 3) != 0)
		return -1;
	*at = '\0';
	if (strcmp(line, decimal(number, SYS_read)) != 0 &&
	    strcmp(line, decimal(number, SYS_readv)) != 0)
		return -1;
	for (at += 3; *at && *at != ' ' && fd < 1 << 24; at++)
		fd = fd << 4 | (*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return fd;
}

/* This is answered for a process's own terminal only. */
static bool is_own_terminal(int fd)
{
	pid_t group;

	return fd >= 0 && kernel(SYS_ioctl, fd, TIOCGPGRP, &group) == 0;
}

struct hold {
	int gate, sig;
};

static void hold_if_reader(pid_t tid, void *arg)
{
	const struct hold *h = arg;

	if (is_own_terminal(read_by(tid)))
		freeze_until(h->gate, h->sig, tid);
}

void hold_readers(int gate, int sig)
{
	struct hold h = {gate, sig};
	char buf[1024] __attribute__((aligned(16)));
	int list = tasks_open();

	if (list < 0)
		return;
	tasks_others(list, buf, sizeof(buf), hold_if_reader, &h);
	kernel(SYS_close, list);
}
