/* readers: processes that are blocked in a read of the terminal.
 *
 * Losing the foreground does not stop a read that has begun: it would eat the
 * first line typed for somebody else. Each such thread is held still, by
 * ptrace, from readers_hold() to readers_let_go(), and then reads on as if
 * nothing had been: its parent sees no stop, and its read is not interrupted.
 * When we die, the kernel lets them go. Where ptrace is refused the process is
 * stopped with SIGSTOP instead; those are listed, for somebody else to
 * continue should we die.
 */
#ifndef TTYLOCK_READERS_H
#define TTYLOCK_READERS_H

#include <stddef.h>
#include <sys/types.h>

struct census;

#define READERS_MAX 16

struct readers {
	size_t held_count, stopped_count;
	pid_t held[READERS_MAX];    /* threads that we trace */
	pid_t stopped[READERS_MAX]; /* processes that we have stopped */
};

/* Holds the readers of the terminal in the process group, except those of the process
 * `spared`: whom another one wants to trace. */
void readers_hold(struct readers *r, int tty, pid_t pgrp, pid_t spared, struct census *c);
/* Lets those go for whom a signal has come: it may be their end, and if they
 * read on, job control stops them. To be called now and then. */
void readers_check(struct readers *r);

/* Waits until no thread of the process is in a read of the terminal, if that takes no
 * more than seconds: it has them stand still by itself. */
void readers_await_none(pid_t pid, int tty);

void readers_let_go(struct readers *r);

#endif
