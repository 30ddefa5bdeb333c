/* session: one program in front of the person, for the length of a turn. */
#ifndef TTYLOCK_SESSION_H
#define TTYLOCK_SESSION_H

#include <stdbool.h>

#include "turn.h"

struct session {
	struct turn *turn;
	char *const *argv;
	bool own_stdio; /* keep 0, 1, 2 as they are rather than the terminal */
	/* The program stopped itself (Ctrl-Z) and the terminal is lent back:
	 * returns true when it should go on, false when it or a signal to us
	 * ended the wait. */
	bool (*suspended)(struct session *s);
};

/* Starts the program in a process group of its own, gives that the terminal
 * and waits for its end. It dies with us. Returns its wait status (>= 0);
 * -errno: it could not be executed. SIGINT is kept back while it runs; other
 * signals to us end it. */
int session_run(struct session *s);

#endif
