/* Numbers as text without standard I/O. */
#ifndef CRASH_DECIMAL_H
#define CRASH_DECIMAL_H

enum { DECIMAL_MAX = 12 };

/* Write n >= 0 into text. Returns text. */
static inline char *decimal(char text[DECIMAL_MAX], int n)
{
	char digits[DECIMAL_MAX];
	int len = 0, at = 0;

	do {
		digits[len++] = '0' + n % 10;
		n /= 10;
	} while (n > 0);
	while (len > 0)
		text[at++] = digits[--len];
	text[at] = '\0';
	return text;
}

#endif
