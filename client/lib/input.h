/* input: whether a thread waits for what is typed at a terminal. */
#ifndef TTYLOCK_INPUT_H
#define TTYLOCK_INPUT_H

#include <sys/types.h>

enum input {
	INPUT_NONE,
	INPUT_READ, /* it is blocked in a read, and would have the next line */
	INPUT_POLL, /* it is told when there is something to read */
	INPUT_RUNS, /* not to be told, for it runs (and be it for a moment, woken inside its
		       read: every change of line settings does that) */
};

/* Calls fn for each thread of the process with what it waits for at the terminal tty. */
void input_each(pid_t pid, int tty,
    void (*fn)(pid_t pid, pid_t thread, enum input input, void *arg), void *arg);

#endif
