/*
 * Who traces this thread, from /proc. The thread's own file, not the process's: a debugger attaches
 * to the first thread first, and a thread that let its fault happen before it was attached itself
 * would kill the process.
 */
#include "tracer.h"

#include "kernel.h"

#include <fcntl.h>
#include <string.h>

int tracer_pid(void)
{
	static const char key[] = "\nTracerPid:\t";
	char text[512], *at;
	int fd, pid = 0;
	long n;

	fd = kernel(SYS_openat, AT_FDCWD, "/proc/thread-self/status", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = kernel(SYS_read, fd, text, sizeof(text) - 1);
	kernel(SYS_close, fd);
	if (n < 0)
		return n;
	text[n] = '\0';
	at = strstr(text, key);
	if (!at)
		return -ENODATA;
	for (at += strlen(key); *at >= '0' && *at <= '9'; at++)
		pid = pid * 10 + (*at - '0');
	return pid;
}
