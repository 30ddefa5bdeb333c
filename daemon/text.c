#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Decodes one character of the len > 0 bytes at s: its length, or 0 if they are
 * not UTF-8 (overlong forms and surrogates are not). */
static size_t utf8_decode(const unsigned char *s, size_t len, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > len)
		return 0;
	*c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return n;
}

/* Of what is not a plain character: not C0, DEL or C1. */
static bool harmless(uint32_t c)
{
	return c > 0x9f && !(c >= 0x200e && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
	       !(c >= 0x2066 && c <= 0x2069);
}

void text_clean(char *dst, size_t size, const char *src, size_t srclen)
{
	size_t len = strnlen(src, srclen), out = 0;

	for (size_t in = 0; in < len;) {
		/* Nearly all there is. */
		if (src[in] >= 0x20 && src[in] < 0x7f) {
			if (out + 1 >= size)
				break;
			dst[out++] = src[in++];
			continue;
		}
		uint32_t c = 0;
		size_t n = utf8_decode((const unsigned char *)src + in, len - in, &c);
		bool good = n > 0 && harmless(c);
		size_t put = good ? n : 1;

		if (out + put >= size)
			break;
		if (good)
			memcpy(dst + out, src + in, n);
		else
			dst[out] = '?';
		out += put;
		in += n ? n : 1;
	}
	dst[out] = '\0';
}
