#include "inherit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t remembered[INHERIT_TOKEN];
static int has_remembered;

size_t inherit_token(uint8_t out[INHERIT_TOKEN])
{
	const char *hex = secure_getenv("TTYLOCK_GRANT");
	unsigned byte;

	if (has_remembered) {
		memcpy(out, remembered, INHERIT_TOKEN);
		return INHERIT_TOKEN;
	}
	if (!hex || strlen(hex) != 2 * INHERIT_TOKEN)
		return 0;
	for (size_t i = 0; i < INHERIT_TOKEN; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return 0;
		out[i] = (uint8_t)byte;
	}
	return INHERIT_TOKEN;
}

void inherit_remember(const uint8_t *token)
{
	memcpy(remembered, token, INHERIT_TOKEN);
	has_remembered = 1;
}

void inherit_setenv(const uint8_t *token)
{
	char hex[2 * INHERIT_TOKEN + 1];

	for (size_t i = 0; i < INHERIT_TOKEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", token[i]);
	setenv("TTYLOCK_GRANT", hex, 1);
}
