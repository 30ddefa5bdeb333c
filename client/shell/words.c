#include "words.h"

#include <errno.h>
#include <string.h>

static const char *describe(int error)
{
	switch (error) {
	case WRDE_BADCHAR:
		return "no pipes, lists or redirections here: quote | & ; < > ( ) { }";
	case WRDE_BADVAL:
		return "a variable that is not set";
	case WRDE_CMDSUB:
		return "no command substitution here";
	case WRDE_NOSPACE:
		return strerror(ENOMEM);
	default:
		return "a quote or a bracket that does not end";
	}
}

const char *words_split(struct words *w, const char *line)
{
	int error = wordexp(line, &w->parts, WRDE_NOCMD | WRDE_UNDEF);

	if (error) {
		if (error == WRDE_NOSPACE) /* some of it may be there */
			wordfree(&w->parts);
		return describe(error);
	}
	w->argc = (int)w->parts.we_wordc;
	w->argv = w->parts.we_wordv;
	return NULL;
}

void words_free(struct words *w)
{
	wordfree(&w->parts);
}
