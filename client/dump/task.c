#include "task.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* /proc/TID is there for threads too, though not listed. */
static bool read_file(pid_t tid, const char *name, char *out, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)tid, (int)tid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
	if (fd >= 0)
		close(fd);
	out[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

void task_wchan(pid_t tid, char *out, size_t size)
{
	if (!read_file(tid, "wchan", out, size) || !strcmp(out, "0"))
		*out = '\0';
}

static uint64_t mask_of(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

bool task_has_signal(pid_t tid)
{
	char status[4096];

	if (!read_file(tid, "status", status, sizeof(status)))
		return true; /* to be on the safe side */
	uint64_t pending = mask_of(status, "\nSigPnd:") | mask_of(status, "\nShdPnd:");
	return pending & ~mask_of(status, "\nSigBlk:");
}

bool task_syscall(pid_t tid, struct task_syscall *out)
{
	char line[256];

	return read_file(tid, "syscall", line, sizeof(line)) &&
	       sscanf(line,
		   "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		   " %" SCNx64 " %" SCNx64,
		   &out->number, &out->args[0], &out->args[1], &out->args[2], &out->args[3],
		   &out->args[4], &out->args[5], &out->sp, &out->pc) == 9;
}

uint64_t task_written(pid_t pid)
{
	char path[64], line[64];
	unsigned long long n = 0;

	/* Of the process, not of its first thread. */
	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "wchar: %llu", &n) == 1)
			break;
	if (file)
		fclose(file);
	return n;
}

uid_t task_uid(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) < 0 ? (uid_t)-1 : st.st_uid;
}

bool task_is_own(pid_t pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return stat("/proc/self/exe", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}
