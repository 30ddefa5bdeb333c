/* procfs: what /proc says of a process. Every answer may be out of date by the
 * time it is used; a process that is gone gives -ENOENT or -ESRCH. */
#ifndef TTYLOCK_PROCFS_H
#define TTYLOCK_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct procfs_stat {
	char state; /* R S D T t Z ... */
	pid_t ppid, pgrp, session;
	int tty;     /* the controlling terminal's device number, 0: none */
	pid_t tpgid; /* the foreground group of that terminal, -1: none */
};

/* 0 or -errno. */
int procfs_stat(pid_t pid, struct procfs_stat *out);

/* The command name, with control characters replaced. "?" when gone. */
void procfs_comm(pid_t pid, char out[32]);

/* The executable's path; empty when it cannot be told. */
void procfs_exe(pid_t pid, char *out, size_t size);

/* Who traces it; 0: nobody; -errno. */
pid_t procfs_tracer(pid_t pid);

/* Whether it is stopped, or will be as soon as it runs. */
bool procfs_is_stopped(pid_t pid);

/* The same, of each of its threads: 1; 0; -EAGAIN: not to be told, for one of them runs, and
 * may have taken its stop without being in it. computes as for procfs_reads_terminal(). */
int procfs_stops(pid_t pid, bool (*computes)(pid_t pid, pid_t thread, void *arg), void *arg);

/* What has stopped it; 0: not to be told, or its parent has been told. */
int procfs_stop_signal(pid_t pid);

/* Whether it ignores the signal. */
bool procfs_ignores(pid_t pid, int sig);

/* Whether a signal waits for it that it has neither blocked nor ignored. */
bool procfs_has_pending(pid_t pid);

/* How long one of its threads has had a processor, in ns; -1: not to be told. */
int64_t procfs_ran(pid_t pid, pid_t thread);

/* Calls fn for each process of the group until it returns non-zero, and
 * returns that, else 0. */
int procfs_each_of_group(pid_t pgrp, int (*fn)(pid_t pid, void *arg), void *arg);

#endif
