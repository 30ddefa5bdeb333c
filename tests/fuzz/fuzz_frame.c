/* Frames: whatever the bytes, the decoder takes no more than there is, and what
 * it took encodes to a frame that decodes to the same kind again. */
#include <stdint.h>
#include <stdlib.h>

#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[FRAME_MAX];
	ttylock_Envelope e, again;

	ssize_t n = frame_decode(data, size, &e);
	if (n > (ssize_t)size || n < -200)
		abort();
	if (n <= 0)
		return 0;
	ssize_t len = frame_encode(&e, out, sizeof(out));
	if (len > 0 &&
	    (frame_decode(out, (size_t)len, &again) != len || again.which_body != e.which_body))
		abort();
	return 0;
}
