/* text: makes bytes that a peer chose harmless to show.
 *
 * Pure. Must stand between every string from outside and the lock's users.
 */
#ifndef TTYLOCK_TEXT_H
#define TTYLOCK_TEXT_H

#include <stddef.h>

/* Copies src, at most its first srclen bytes, to dst as one line of valid UTF-8
 * of at most size - 1 bytes, always terminated, never cut inside a character.
 * Control characters (C0, DEL, C1), bidirectional overrides, line separators
 * and invalid bytes become '?'. */
void text_clean(char *dst, size_t size, const char *src, size_t srclen);

#endif
