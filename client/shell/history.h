/* history: the lines that were typed, kept from one shell to the next in
 * $XDG_STATE_HOME/ttylock/history (else ~/.local/state/...), the user's alone.
 * Without a home there is none that is kept. */
#ifndef TTYLOCK_HISTORY_H
#define TTYLOCK_HISTORY_H

#include <limits.h>

struct history {
	char path[PATH_MAX]; /* empty: not kept */
};

void history_open(struct history *h);

/* Takes a line in, and writes it down at once: other shells may be open, and
 * this one may be killed. Not: what is empty, begins with a space, or repeats
 * the line before. */
void history_keep(struct history *h, const char *line);

#endif
