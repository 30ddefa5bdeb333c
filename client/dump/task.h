/* task: what /proc tells of a single thread, or of a process by its first one. */
#ifndef DUMP_TASK_H
#define DUMP_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The kernel's function in which it sleeps; empty: it runs, or it is secret. */
void task_wchan(pid_t tid, char *out, size_t size);

/* Whether a signal that it does not block waits to be delivered to it. */
bool task_has_signal(pid_t tid);

/* The registers that the kernel shows of a thread asleep in a system call: the
 * call's arguments, the stack pointer and the program counter. False: it runs,
 * or we may not know. */
struct task_syscall {
	long number;
	uint64_t args[6], sp, pc;
};
bool task_syscall(pid_t tid, struct task_syscall *out);

/* How many bytes a process has written so far, to whatever; 0: we may not know. */
uint64_t task_written(pid_t pid);

/* The user; (uid_t)-1: gone. */
uid_t task_uid(pid_t pid);

/* Whether it is a ttylock command like this one. */
bool task_is_own(pid_t pid);

#endif
