/* bytes: a fuzzer's input, taken one by one; zeroes behind its end. */
#ifndef TTYLOCK_FUZZ_BYTES_H
#define TTYLOCK_FUZZ_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
	const uint8_t *data;
	size_t size, at;
};

static inline uint8_t bytes_take(struct bytes *b)
{
	return b->at < b->size ? b->data[b->at++] : 0;
}

#endif
