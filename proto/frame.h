/* frame: one Envelope to bytes and back.
 *
 * A frame is the varint length of an encoded Envelope, then the Envelope
 * (proto/ttylock.proto). Owns no memory, knows no sockets and no descriptors.
 */
#ifndef TTYLOCK_FRAME_H
#define TTYLOCK_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ttylock.pb.h"

#define FRAME_BODY_MAX 1024
/* Header and body: what a receive buffer must hold to be sure of one frame. */
#define FRAME_MAX (2 + FRAME_BODY_MAX)

/* Encodes *e into buf, of size bytes. Returns the frame's length, or
 * -EMSGSIZE when it does not fit, -EINVAL when *e cannot be encoded. */
ssize_t frame_encode(const ttylock_Envelope *e, uint8_t *buf, size_t size);

/* Decodes the first frame of the len bytes at buf. Returns how many bytes it
 * took (> 0) and sets *e; 0 when the frame is not complete yet; -EMSGSIZE when
 * its header announces more than FRAME_BODY_MAX (told from the header alone);
 * -EPROTO when it is malformed, empty or of an unknown kind. *e is
 * unspecified unless the result is > 0. */
ssize_t frame_decode(const uint8_t *buf, size_t len, ttylock_Envelope *e);

#endif
