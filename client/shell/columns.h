/* columns: requests as a table in lslocks' manner.
 *
 * Pure but for the locale, which says how wide a character is and whether it can
 * be shown, and for a look at whether a holder is stopped. Whatever is in a text, it comes out as
 * one line that steers nobody's terminal.
 */
#ifndef TTYLOCK_COLUMNS_H
#define TTYLOCK_COLUMNS_H

#include <stdbool.h>
#include <stdio.h>

#include "feed.h"

#define COLUMNS_MAX 32

struct column;

struct columns {
	const struct column *list[COLUMNS_MAX];
	size_t count;
	bool noheadings, raw, colours;
	unsigned width; /* of the screen; 0: any */
};

/* The usual ones. */
void columns_init(struct columns *c);

/* Takes names with commas between them ("+NAME,..." adds to the usual ones).
 * 0; -ENOENT, and *bad the name that is none, cut at 31 bytes; -E2BIG. */
int columns_choose(struct columns *c, const char *names, char bad[32]);

void columns_print(FILE *out, const struct columns *c, const struct listing *l);

/* What --help says of them. */
void columns_help(FILE *out);

/* Writes text as it can be shown; at most `width` columns of it (0: all). Returns
 * how many. */
unsigned put_harmless(FILE *out, const char *text, unsigned width);

/* Whether it holds the terminal, and its process stands still (stopped, or in a
 * debugger): whoever waits for it may have to do something. */
bool entry_is_stopped(const ttylock_Entry *e);

#endif
