#include "tasks.h"

#include "kernel.h"

#include <dirent.h>
#include <fcntl.h>

int tasks_open(void)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	return kernel(SYS_openat, AT_FDCWD, TASKS_PATH, flags, 0);
}

/* 0: it is none. */
static pid_t tid_of(const char *name)
{
	pid_t tid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		tid = tid * 10 + (*name - '0');
	return tid;
}

long tasks_others(int list, char *buf, size_t size, void (*fn)(pid_t tid, void *arg), void *arg)
{
	pid_t self = syscall(SYS_gettid);
	long n, others = 0;

	kernel(SYS_lseek, list, 0, SEEK_SET);
	while ((n = kernel(SYS_getdents64, list, buf, size)) > 0) {
		for (long at = 0; at < n;) {
			struct dirent64 *entry = (struct dirent64 *)(buf + at);
			pid_t tid = tid_of(entry->d_name);

			at += entry->d_reclen;
			if (tid == 0 || tid == self)
				continue;
			others++;
			if (fn)
				fn(tid, arg);
		}
	}
	return n < 0 ? n : others;
}
