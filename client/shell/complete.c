#include "complete.h"

#include <ctype.h>
#include <readline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell.h"
#include "words.h"

/* --- what a command takes ----------------------------------------------------- */

enum { IDS = 1, PIDS = 2, TERMINALS = 4, NAMES = 8, FILES = 16 };

static unsigned kind_of(const char *word, size_t length)
{
	static const struct {
		const char *word;
		unsigned kind;
	} kinds[] = {{"ID", IDS}, {"PID", PIDS}, {"TTY", TERMINALS}, {"TERMINAL", TERMINALS},
	    {"PATH", TERMINALS}, {"NAME", NAMES}, {"COMMAND", FILES}, {"FILE", FILES}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strlen(kinds[i].word) == length && !memcmp(kinds[i].word, word, length))
			return kinds[i].kind;
	return 0;
}

/* Of all words in capitals up to the end of the text or of its line. */
static unsigned kinds_of(const char *text)
{
	unsigned kinds = 0;

	while (*text && *text != '\n') {
		size_t n = 0;
		while (isupper((unsigned char)text[n]))
			n++;
		kinds |= n ? kind_of(text, n) : 0;
		text += n ? n : 1;
	}
	return kinds;
}

/* Steps over the options that begin a line of help ("  -w, --timeout SECS  ..."):
 * *length is the next one's, *after where its value's name begins. */
static const char *next_option(const char **help, size_t *length, const char **after)
{
	const char *p = *help;

	for (;;) {
		p += strspn(p, " ,");
		if (*p == '-')
			break;
		p = strchr(p, '\n');
		if (!p) {
			*help = "";
			return NULL;
		}
		p++;
	}
	*length = strcspn(p, " ,=[\n");
	*help = p + *length;
	*after = *help;
	return p;
}

/* The kinds of the option's value; 0: none that is known. */
static unsigned kinds_of_value(const struct command *c, const char *option)
{
	const char *help = c->help, *after, *o;
	size_t given = strcspn(option, "="), length;

	while ((o = next_option(&help, &length, &after))) {
		if (length != given || memcmp(o, option, length) != 0)
			continue;
		/* Behind two spaces its description begins. */
		const char *end = strstr(after, "  ");
		char value[64];
		size_t n = end ? (size_t)(end - after) : strlen(after);
		snprintf(value, sizeof(value), "%.*s", n < 64 ? (int)n : 63, after);
		return kinds_of(value);
	}
	return 0;
}

/* --- candidates --------------------------------------------------------------- */

static struct {
	const struct view *view;
	char **words;
	size_t count, room, next;
} all;

static void offer(const char *word, size_t length)
{
	if (all.count == all.room) {
		size_t room = all.room ? 2 * all.room : 64;
		char **words = reallocarray(all.words, room, sizeof(*words));
		if (!words)
			return;
		all.words = words;
		all.room = room;
	}
	char *copy = strndup(word, length);
	if (copy)
		all.words[all.count++] = copy;
}

static void offer_number(unsigned long long n)
{
	char text[32];

	offer(text, (size_t)snprintf(text, sizeof(text), "%llu", n));
}

static void offer_names(void)
{
	for (const struct command *const *c = commands; *c; c++)
		offer((*c)->name, strlen((*c)->name));
	for (const struct builtin *b = builtins; b->command.name; b++)
		offer(b->command.name, strlen(b->command.name));
}

static void offer_options(const struct command *c)
{
	const char *help = c->help, *after, *o;
	size_t length;

	while ((o = next_option(&help, &length, &after)))
		if (length > 2 && o[1] == '-')
			offer(o, length);
	offer("--help", 6);
}

static void offer_entries(unsigned kinds)
{
	for (size_t i = 0; i < all.view->count; i++) {
		const struct view_entry *e = &all.view->entries[i];
		if ((kinds & IDS) && !e->hidden)
			offer_number(e->id);
		if ((kinds & PIDS) && !e->hidden)
			offer_number((unsigned long long)e->pid);
		if ((kinds & PIDS) && !e->hidden && e->subject)
			offer_number((unsigned long long)e->subject);
		if (kinds & TERMINALS)
			offer(e->terminal, strlen(e->terminal));
	}
}

static void forget(void)
{
	while (all.count)
		free(all.words[--all.count]);
	free(all.words);
	all.words = NULL;
	all.room = 0;
}

static char *next_match(const char *text, int state)
{
	if (state == 0)
		all.next = 0;
	while (all.next < all.count) {
		const char *word = all.words[all.next++];
		if (!strncmp(word, text, strlen(text)))
			return strdup(word);
	}
	return NULL;
}

/* --- the word at hand --------------------------------------------------------- */

static bool has_operand(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-' || !strcmp(argv[i], "--"))
			return true;
	return false;
}

/* argv: the words before this one. Returns false for readline's own way, by
 * file names. */
static bool gather(const char *text, int argc, char **argv)
{
	if (argc == 0) {
		offer_names();
		return true;
	}
	const struct command *c = shell_command_find(argv[0]);
	if (!c)
		return false;
	const char *last = argv[argc - 1];
	unsigned kinds = argc > 1 && *last == '-' ? kinds_of_value(c, last) : 0;
	if (!kinds) {
		kinds = kinds_of(c->arguments);
		if (*text == '-' && !((kinds & FILES) && has_operand(argc, argv))) {
			offer_options(c);
			return true;
		}
	}
	if (kinds & NAMES)
		offer_names();
	offer_entries(kinds);
	return !(kinds & FILES);
}

static char **complete(const char *text, int start, int end)
{
	char *before = strndup(rl_line_buffer, (size_t)start), **matches = NULL;
	struct words w;

	(void)end;
	if (!before || words_split(&w, before)) {
		free(before);
		return NULL;
	}
	int skip = w.argc > 0 && !strcmp(w.argv[0], "ttylock");
	forget();
	rl_attempted_completion_over = gather(text, w.argc - skip, w.argv + skip);
	if (rl_attempted_completion_over)
		matches = rl_completion_matches(text, next_match);
	forget();
	words_free(&w);
	free(before);
	return matches;
}

void complete_init(const struct view *v)
{
	all.view = v;
	rl_attempted_completion_function = complete;
	rl_completer_quote_characters = "'\"";
	rl_filename_quote_characters = " \t\n\\\"'|&;<>(){}*?[]$`~#";
}
