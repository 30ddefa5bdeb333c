/* token: random numbers that prove whose a request is. */
#ifndef TTYLOCK_TOKEN_H
#define TTYLOCK_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#define TOKEN_SIZE 16

/* Drawn from the kernel many at a time. */
struct tokens {
	uint8_t drawn[32][TOKEN_SIZE];
	size_t left;
};

/* All zeroes, which proves nothing, when there is no randomness. */
void token_draw(struct tokens *set, uint8_t token[TOKEN_SIZE]);

#endif
