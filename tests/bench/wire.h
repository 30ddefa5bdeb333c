/* wire: the protocol spoken bare, for what the library has no call for or would
 * need a process for: thousands of waiters, and steering them.
 *
 * Blocking, and ends the program when something goes wrong.
 */
#ifndef TTYLOCK_BENCH_WIRE_H
#define TTYLOCK_BENCH_WIRE_H

#include "frame.h"

struct wire {
	int fd;
	uint8_t rx[FRAME_MAX];
	size_t len;
	size_t last; /* the size of the frame received last */
};

/* With the terminal as its number 0. */
void wire_open(struct wire *w, const char *socket, int tty);
void wire_close(struct wire *w);
void wire_send(struct wire *w, const ttylock_Envelope *e, int passed);
void wire_receive(struct wire *w, ttylock_Envelope *e);
/* Asks for the terminal: whether it was granted, else it waits. */
bool wire_request(struct wire *w, uint64_t number);
/* Puts the waiter with that id in front, as soon as it is one. */
void wire_serve_first(struct wire *w, uint64_t id);
/* Returns when the daemon has dealt with all that was sent to it before. */
void wire_settle(struct wire *w);

#endif
