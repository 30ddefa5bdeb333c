#include "words.h"

#include <ctype.h>
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

/* What a $ begins: NULL for $NAME, ${NAME} and a $ that stands for itself. */
static const char *wrong_expansion(const char *after)
{
	size_t braced = *after == '{', name = braced;

	if (*after == '\0' || *after == '"' || *after == '\'')
		return NULL;
	if (*after == '(' && after[1] != '(')
		return describe(WRDE_CMDSUB);
	while (isalnum((unsigned char)after[name]) || after[name] == '_')
		name++;
	if (name == braced || isdigit((unsigned char)after[braced]) ||
	    (braced && after[name] != '}'))
		return "after a $ only NAME or {NAME}: quote it with '...' or \\";
	return NULL;
}

/* wordexp(3) has more: the parameters of a script, which would be ttylock's own
 * arguments, and arithmetic, in which the C library of Debian 12 crashes on them. */
static const char *more_than_variables(const char *line)
{
	const char *wrong = NULL;
	char quote = 0;

	for (; *line && !wrong; line++) {
		if (quote == '\'') {
			quote = *line == '\'' ? 0 : quote;
		} else if (*line == '\\') {
			line += line[1] != '\0';
		} else if (*line == '"') {
			quote = quote ? 0 : '"';
		} else if (*line == '\'' && !quote) {
			quote = '\'';
		} else if (*line == '$') {
			wrong = wrong_expansion(line + 1);
		}
	}
	return wrong;
}

const char *words_split(struct words *w, const char *line)
{
	const char *wrong = more_than_variables(line);
	int error;

	if (wrong)
		return wrong;
	error = wordexp(line, &w->parts, WRDE_NOCMD | WRDE_UNDEF);
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
