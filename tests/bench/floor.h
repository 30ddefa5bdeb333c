/* floor: what sockets alone cost between processes, with frames of a given size:
 * a round trip, a relay through a third process, a stream.
 *
 * Blocking reads and writes and nothing else: no server of more than one client
 * could do with so little.
 */
#ifndef TTYLOCK_BENCH_FLOOR_H
#define TTYLOCK_BENCH_FLOOR_H

#include <stdbool.h>
#include <stddef.h>

struct floor {
	int echo, looped, stream; /* our ends; they end when these are closed */
	int relay[2];		  /* the ends of the two that it passes on between */
	size_t asked, answered;	  /* bytes of a frame in each direction */
};

void floor_start(struct floor *f, size_t asked, size_t answered);
void floor_stop(struct floor *f);
/* One round trip. looped: with poll(2) and epoll(7) before each read, as a client with
 * a deadline and a server of many have to. */
void floor_round_trip(const struct floor *f, bool looped);
/* Has the other process send so many bytes, and reads them. */
void floor_stream(const struct floor *f, size_t bytes);
/* One end of the relay, 0 or 1. */
void floor_give(const struct floor *f, int end);
void floor_take(const struct floor *f, int end);

#endif
