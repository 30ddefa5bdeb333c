/* pollable: one descriptor that is readable when a socket is, or when it is time
 * to connect anew. The host program polls it; nothing runs for that meanwhile. */
#ifndef TTYLOCK_POLLABLE_H
#define TTYLOCK_POLLABLE_H

#include <stdint.h>

struct pollable {
	int epoll, timer; /* -1: nobody has asked for it yet */
};

#define POLLABLE_INIT ((struct pollable){-1, -1})

/* 0, or -errno. Where nobody has asked for it, the others do nothing. */
int pollable_open(struct pollable *p);
void pollable_close(struct pollable *p);

/* To be called before another socket gets the number. */
void pollable_drop(struct pollable *p, int sock);
void pollable_watch(struct pollable *p, int sock);
/* When, in ms of CLOCK_MONOTONIC; 0: never. */
void pollable_at(struct pollable *p, int64_t when);

#endif
