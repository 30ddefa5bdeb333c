/* message: any message of the protocol, made of a fuzzer's bytes, with a liking for
 * the values at which something changes. */
#ifndef TTYLOCK_FUZZ_MESSAGE_H
#define TTYLOCK_FUZZ_MESSAGE_H

#include "../../proto/frame.h"
#include "bytes.h"

void message_fill(struct bytes *b, ttylock_Envelope *e);
void message_fill_kind(struct bytes *b, ttylock_Envelope *e, pb_size_t kind);

/* For LLVMFuzzerCustomMutator: a whole frame into data, of at most max bytes, by that
 * seed. Its length. */
size_t message_frame(uint8_t *data, size_t max, unsigned seed);

#endif
