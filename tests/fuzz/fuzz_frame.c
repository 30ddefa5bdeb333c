/* links: tests/fuzz/message.o proto/frame.o proto/ttylock.pb.o */
/* Frames: whatever the bytes, the decoder takes no more than there is, wants no
 * less than a whole frame, and what it took is the same again when it has been
 * encoded. The decoder itself is Debian's and not instrumented, so one input in two
 * is made of the protocol's own fields. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	if (seed % 4 < 2)
		size = message_frame(data, max, seed);
	return seed % 4 == 0 ? size : LLVMFuzzerMutate(data, size, max);
}

static void check(int good)
{
	if (!good)
		abort();
}

static void check_again(const ttylock_Envelope *e)
{
	uint8_t once[FRAME_MAX], twice[FRAME_MAX];
	ttylock_Envelope again;
	ssize_t len = frame_encode(e, once, sizeof(once));

	/* Numbers may be spelled longer than needed, so it may be no longer now. */
	check(len > 0);
	check(frame_decode(once, (size_t)len, &again) == len && again.which_body == e->which_body);
	check(frame_encode(&again, twice, sizeof(twice)) == len &&
	      memcmp(once, twice, (size_t)len) == 0);
	check(frame_encode(e, twice, (size_t)len - 1) == -EMSGSIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ttylock_Envelope e;
	ssize_t n = frame_decode(data, size, &e);

	check(n <= (ssize_t)size && (n >= 0 || n == -EMSGSIZE || n == -EPROTO));
	if (n <= 0)
		return 0;
	check_again(&e);
	check(frame_decode(data, (size_t)n, &e) == n);
	check(frame_decode(data, (size_t)n - 1, &e) == 0);
	return 0;
}
