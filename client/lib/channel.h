/* channel: frames to and from the daemon over one connected socket.
 *
 * Owns the socket and a receive buffer. Knows frames, not what they mean.
 * Never raises SIGPIPE; every wait has a deadline (deadline.h) and ends early
 * with -EINTR. In the child of a fork all channels are closed: a socket that it
 * held open would hide its parent's death from the daemon.
 */
#ifndef TTYLOCK_CHANNEL_H
#define TTYLOCK_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "frame.h"

struct channel {
	int fd;
	uid_t listener;	      /* whose it was, or may be, next time */
	struct channel *next; // the process's open channels
	size_t len;
	uint8_t buf[4 * FRAME_MAX];
};

/* Connects to the socket at path and checks that its listener runs as root or
 * as us. 0; -EPERM: it does not; -ETIMEDOUT; what connect(2) returns. */
int channel_connect(struct channel *c, const char *path, int64_t deadline);
void channel_close(struct channel *c);

/* A socket that is not connected yet. 0 or -errno. */
int channel_open(struct channel *c);
/* One try, which does not wait, to connect an open channel anew; the descriptor's
 * number stays, and what had been received is dropped. Async-signal-safe. A fork()
 * by another thread meanwhile would leave the child a copy: a lock of the caller's
 * keeps it from that, or the connection is one that may be kept. 0; -EAGAIN: too
 * many are about to; else as channel_connect(). */
int channel_reconnect(struct channel *c, const char *path);

/* *from is as if it had been closed afterwards; *to must be closed before. */
void channel_move(struct channel *to, struct channel *from);

/* Sends one frame, with the descriptor passed unless it is -1. 0, -ECONNRESET
 * (the other end is gone), -ETIMEDOUT, -EINTR, -EINVAL. A frame is sent whole
 * or the channel is of no more use. The deadline may be DEADLINE_LATER. */
int channel_send(struct channel *c, const ttylock_Envelope *e, int passed, int64_t deadline);
/* The same with frames that are encoded already. */
int channel_send_bytes(
    struct channel *c, const uint8_t *buf, size_t len, int passed, int64_t deadline);

/* Receives one frame. 1 and *e; 0: none before the deadline; -ECONNRESET;
 * -EPROTO: not our protocol; -EINTR. */
int channel_receive(struct channel *c, ttylock_Envelope *e, int64_t deadline);
/* Without waiting, for one who polls the socket afterwards in any case: does not read
 * again, to see that there is no more, when the last read took all that there was. *dry is
 * false at first, and for this alone. */
int channel_receive_some(struct channel *c, ttylock_Envelope *e, bool *dry);

#endif
