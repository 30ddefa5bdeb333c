#include "token.h"

#include <string.h>
#include <sys/random.h>

#include "log.h"

void token_draw(struct tokens *set, uint8_t token[TOKEN_SIZE])
{
	if (set->left == 0) {
		if (getrandom(set->drawn, sizeof(set->drawn), 0) != sizeof(set->drawn)) {
			log_warn("getrandom");
			memset(token, 0, TOKEN_SIZE);
			return;
		}
		set->left = sizeof(set->drawn) / sizeof(set->drawn[0]);
	}
	set->left--;
	memcpy(token, set->drawn[set->left], TOKEN_SIZE);
	/* Nobody finds it here again. */
	explicit_bzero(set->drawn[set->left], TOKEN_SIZE);
}
