/* inbox: what a connection has sent and was not handled yet, and which of it the
 * descriptor belongs to that came with it.
 *
 * Receives, and has each descriptor examined and closed at once; must not
 * interpret the bytes.
 */
#ifndef TTYLOCK_INBOX_H
#define TTYLOCK_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "caller.h"
#include "frame.h"

struct inbox {
	uint8_t *bytes; /* of FRAME_MAX, while length > 0 */
	size_t length;
	/* bytes[0..proof_end) came up to and with the caller's pending proof. */
	size_t proof_end;
	/* The last read took all that there was room for: more may be there. */
	bool filled;
};

void inbox_deinit(struct inbox *in);

/* One recvmsg, with a descriptor into c's proof. 1: there are new bytes; 0: none
 * now; -EPIPE: closed; -EPROTO: more descriptors than may be; or -errno. After a 1,
 * inbox_took() comes before any inbox receives again. */
int inbox_receive(struct inbox *in, int sock, struct caller *c);

/* The first so many bytes were handled. 0, or -ENOMEM: the rest cannot be kept. */
int inbox_took(struct inbox *in, size_t size);

#endif
