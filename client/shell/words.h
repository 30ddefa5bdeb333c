/* words: a line of the shell as the words of a command, quoted as in sh(1).
 *
 * Quotes, backslash, ~, $NAME, ${NAME} and file name patterns; nothing that would
 * run something (`...`, $(...)) or compute, and no pipes, lists or redirections. */
#ifndef TTYLOCK_WORDS_H
#define TTYLOCK_WORDS_H

#include <wordexp.h>

struct words {
	int argc;
	char **argv; /* ended by NULL; its own */
	wordexp_t parts;
};

/* NULL; or, with nothing to free, what is wrong with the line. */
const char *words_split(struct words *w, const char *line);
void words_free(struct words *w);

#endif
