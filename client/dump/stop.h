/* stop: all threads of a process held still by ptrace, for a moment.
 *
 * By PTRACE_SEIZE and PTRACE_INTERRUPT: no SIGSTOP, so neither its parent nor a
 * shell can notice, a stopped process stays stopped and a signal that arrives
 * meanwhile still arrives. The end of the calling process lets everything go,
 * whatever happened. The caller has no other children and no other tracees.
 */
#ifndef DUMP_STOP_H
#define DUMP_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* More threads than these are counted, not stopped. */
#define STOP_THREADS_MAX 1000

struct stopped_thread {
	pid_t tid;
	bool seized, stopped;
	int signal;	/* on its way to it when it stopped; 0 */
	char state;	/* before we stopped it: R S D T ... */
	char name[32];	/* as the kernel has it */
	char wchan[64]; /* where in the kernel it slept; empty */
};

struct stop {
	pid_t pid;
	struct stopped_thread *threads; /* the process's first one first */
	size_t count, left_out;
};

/* Stops what stops until deadline_ms of CLOCK_MONOTONIC; a thread in
 * uninterruptible sleep is given up earlier. 0; -EPERM; -ESRCH: it is gone;
 * -ENOMEM; *s is to be ended in any case. */
int stop_process(struct stop *s, pid_t pid, int64_t deadline_ms);

struct stopped_thread *stop_find(const struct stop *s, pid_t tid);

/* They go on. A system call that the stop broke off, although no signal was
 * there to do so, is begun anew. */
void stop_release(struct stop *s);
void stop_deinit(struct stop *s);

#endif
