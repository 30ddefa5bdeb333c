#include "debugger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acts.h"

static void leave(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, "!", 1) != 1)
		abort();
	close(fd);
}

static void attach(pid_t pid)
{
	char path[32];
	int status;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		pid_t tid = atoi(e->d_name);
		if (tid <= 0 || ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
			continue;
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
		waitpid(tid, &status, __WALL);
		ptrace(PTRACE_CONT, tid, NULL, NULL);
	}
	if (d)
		closedir(d);
}

int debugger_run(const char *how, pid_t pid)
{
	bool mends = strcmp(how, "mend") == 0, stays = strcmp(how, "stay") == 0;
	int status, file = open("holder", O_RDWR | O_CLOEXEC);

	if (!acts_hold(file))
		leave(DEBUGGER_FAULT);
	leave(DEBUGGER_SESSIONS);
	attach(pid);
	for (pid_t tid; (tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
		if (tid < 0 || !WIFSTOPPED(status))
			continue;
		long sig = WSTOPSIG(status);
		bool is_crash = sig == SIGSEGV || sig == SIGABRT || sig == SIGTRAP;
		if (status >> 16 || (stays && is_crash)) {
			ptrace(PTRACE_CONT, tid, NULL, NULL);
		} else if (!is_crash) {
			ptrace(PTRACE_CONT, tid, NULL, sig);
		} else {
			acts_leave(file);
			ptrace(PTRACE_DETACH, tid, NULL, mends ? 0 : sig);
			return 0; /* which lets the other threads go */
		}
	}
	return 0;
}
