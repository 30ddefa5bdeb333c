/* registers: a thread's registers in DWARF's numbering, and the restart of a
 * broken-off system call. The one file that knows the machine. */
#ifndef DUMP_REGISTERS_H
#define DUMP_REGISTERS_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <sys/types.h>

/* Tells libdwfl the registers of a thread that we have stopped. False: they
 * are not to be had, or are another machine's (a 32-bit program). */
bool registers_of_stopped(Dwfl_Thread *thread, pid_t tid);

/* Tells it what is known without stopping it, if it is asleep in the kernel:
 * enough for frames that need no frame pointer. */
bool registers_of_sleeping(Dwfl_Thread *thread, pid_t tid);

/* The kernel fails some waits (epoll_wait, sigwait, ...) with EINTR after any
 * stop, although no signal handler has run. Has a stopped thread that is about
 * to return from one of them call it again, with its time limit anew. Only when
 * no signal is there that EINTR could be meant for. */
void registers_restart(pid_t tid);

#endif
