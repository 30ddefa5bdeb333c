/* readers: processes that are blocked in a read of the terminal, or poll it.
 *
 * Losing the foreground does not stop a read that has begun: it would eat the
 * first line typed for somebody else. Nor does who polls learn of it: told of a
 * key that is somebody else's, it would begin to read, have its whole group
 * stopped, and be blocked afterwards until a line is typed. Each such thread is
 * held still, by ptrace, from readers_hold() to readers_let_go(), and then goes
 * on as if nothing had been: its parent sees no stop, and its read is not
 * interrupted. When we die, the kernel lets them go. Where ptrace is refused to
 * us a process that reads is stopped with SIGSTOP instead; those are listed, for
 * somebody else to continue should we die.
 */
#ifndef TTYLOCK_READERS_H
#define TTYLOCK_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct census;

#define READERS_MAX 16

struct readers {
	size_t held_count, stopped_count;
	int looks;		    /* for who polls, still to be taken; -1: until the end */
	pid_t held[READERS_MAX];    /* threads that we trace */
	pid_t stopped[READERS_MAX]; /* processes that we have stopped */
	bool disturbed;		    /* some were held, be it that they are not any more */
};

/* Holds the readers of the terminal in the process group, except those of the process
 * `spared`: whom another one wants to trace. */
void readers_hold(struct readers *r, int tty, pid_t pgrp, pid_t spared, struct census *c);

/* How long until readers_check() may have something to do; -1: for ever. */
int readers_check_ms(const struct readers *r);

/* Lets those go for whom a signal has come: it may be their end, and if they
 * read on, job control stops them. Holds who polls since. */
void readers_check(struct readers *r, int tty, pid_t pgrp, pid_t spared, struct census *c);

/* Waits until no thread of the process is in a read of the terminal, if that takes no
 * more than seconds: it has them stand still by itself. */
void readers_await_none(pid_t pid, int tty);

/* Whether some have been held: they are on their way back into their read, or into a
 * stop that came meanwhile. */
bool readers_let_go(struct readers *r);

#endif
