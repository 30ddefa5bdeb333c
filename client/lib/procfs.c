#include "procfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A small file of /proc/PID, zero-terminated. Bytes read or -errno. */
static ssize_t read_file(pid_t pid, const char *name, char *out, size_t size)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, out, size - 1);
	int err = errno;
	close(fd);
	if (n < 0)
		return -err;
	out[n] = '\0';
	return n;
}

int procfs_stat(pid_t pid, struct procfs_stat *out)
{
	char buf[1024];
	ssize_t n = read_file(pid, "stat", buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	/* The name may hold anything, ") 1 (" as well: count from its end. */
	const char *rest = strrchr(buf, ')');
	if (!rest || sscanf(rest + 1, " %c %d %d %d %d %d", &out->state, &out->ppid, &out->pgrp,
			 &out->session, &out->tty, &out->tpgid) != 6)
		return -EIO;
	return 0;
}

void procfs_comm(pid_t pid, char out[32])
{
	ssize_t n = read_file(pid, "comm", out, 32);

	if (n <= 0) {
		strcpy(out, "?");
		return;
	}
	if (out[n - 1] == '\n')
		out[--n] = '\0';
	for (char *p = out; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
}

void procfs_exe(pid_t pid, char *out, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, out, size - 1);
	out[n < 0 ? 0 : n] = '\0';
}

/* The value behind "Name:" in /proc/PID/status; NULL when it is not there. */
static const char *status_field(char *buf, size_t size, pid_t pid, const char *name)
{
	if (read_file(pid, "status", buf, size) < 0)
		return NULL;
	char *at = strstr(buf, name);
	return at ? at + strlen(name) : NULL;
}

pid_t procfs_tracer(pid_t pid)
{
	char buf[4096];
	const char *value = status_field(buf, sizeof(buf), pid, "\nTracerPid:");

	return value ? atoi(value) : -ESRCH;
}

/* In the text of /proc/PID/status. */
static uint64_t signals_from(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

bool procfs_is_stopped(pid_t pid)
{
	uint64_t stops = 1ull << (SIGTSTP - 1) | 1ull << (SIGTTIN - 1) | 1ull << (SIGTTOU - 1);
	struct procfs_stat ps;
	char buf[4096];

	/* In this order: what is pending first is a stop afterwards. */
	if (read_file(pid, "status", buf, sizeof(buf)) > 0 &&
	    ((signals_from(buf, "\nShdPnd:") | signals_from(buf, "\nSigPnd:")) & stops))
		return true;
	return procfs_stat(pid, &ps) == 0 && ps.state == 'T';
}

int procfs_stops(pid_t pid, bool (*computes)(pid_t pid, pid_t thread, void *arg), void *arg)
{
	char path[64], name[64], buf[1024];
	int r = procfs_is_stopped(pid);

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = r ? NULL : opendir(path);
	if (!dir)
		return r;
	for (struct dirent *d; r != 1 && (d = readdir(dir));) {
		if (!isdigit((unsigned char)*d->d_name))
			continue;
		snprintf(name, sizeof(name), "task/%.20s/stat", d->d_name);
		ssize_t n = read_file(pid, name, buf, sizeof(buf));
		const char *rest = n > 0 ? strrchr(buf, ')') : NULL;
		char state = '\0';
		if (rest)
			sscanf(rest + 1, " %c", &state);
		if (state == 'T')
			r = 1;
		else if (state == 'R' && !computes(pid, atoi(d->d_name), arg))
			r = -EAGAIN;
	}
	closedir(dir);
	return r;
}

/* The 52nd field of stat, counted from the third. */
#define EXIT_CODE (52 - 3)

int procfs_stop_signal(pid_t pid)
{
	char buf[1024];
	ssize_t n = read_file(pid, "stat", buf, sizeof(buf));
	char *at = n > 0 ? strrchr(buf, ')') : NULL;

	for (int i = 0; at && i <= EXIT_CODE; i++)
		at = strchr(at + 1, ' ');
	return at ? atoi(at) : 0;
}

bool procfs_ignores(pid_t pid, int sig)
{
	char buf[4096];

	return read_file(pid, "status", buf, sizeof(buf)) > 0 &&
	       (signals_from(buf, "\nSigIgn:") >> (sig - 1) & 1);
}

bool procfs_has_pending(pid_t pid)
{
	char buf[4096];

	if (read_file(pid, "status", buf, sizeof(buf)) <= 0)
		return false;
	uint64_t pending = signals_from(buf, "\nSigPnd:") | signals_from(buf, "\nShdPnd:");
	return (pending & ~signals_from(buf, "\nSigBlk:") & ~signals_from(buf, "\nSigIgn:")) != 0;
}

int64_t procfs_ran(pid_t pid, pid_t thread)
{
	char name[64], line[128];
	long long ns;

	snprintf(name, sizeof(name), "task/%d/schedstat", (int)thread);
	if (read_file(pid, name, line, sizeof(line)) <= 0 || sscanf(line, "%lld", &ns) != 1)
		return -1;
	return ns;
}

int procfs_each_of_group(pid_t pgrp, int (*fn)(pid_t pid, void *arg), void *arg)
{
	int r = 0;
	DIR *dir = opendir("/proc");

	if (!dir)
		return -errno;
	for (struct dirent *d; r == 0 && (d = readdir(dir));) {
		struct procfs_stat ps;
		pid_t pid = atoi(d->d_name);
		/* Asked first: to have its stat file written out takes the kernel long. A
		 * security module may forbid the one and not the other. */
		pid_t group = pid > 0 ? getpgid(pid) : 0;
		if (pid <= 0 || (group != pgrp && !(group < 0 && errno == EPERM)))
			continue;
		if (procfs_stat(pid, &ps) == 0 && ps.pgrp == pgrp && ps.state != 'Z')
			r = fn(pid, arg);
	}
	closedir(dir);
	return r;
}
