/* links: client/shell/words.o client/shell/columns.o client/shell/options.o daemon/text.o */
/* links: tests/fuzz/library.a proto/ttylock.pb.o -lm */
/* Command lines, and texts on their way to a terminal. A line of the shell becomes
 * words or a reason why not, and nothing of it is run; its words are numbers, times
 * and columns or are refused; a cleaned text is one line of UTF-8 that steers nothing,
 * and to clean it again changes nothing. */
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "../../client/dump/requests.h"
#include "../../client/shell/columns.h"
#include "../../client/shell/options.h"
#include "../../client/shell/words.h"
#include "../../daemon/text.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What options.c says to people is not looked at here. */
int complain_usage(const struct command *c, const char *format, ...)
{
	(void)c;
	(void)format;
	return EXIT_USAGE;
}

int complain_option(const struct command *c, char *const *argv)
{
	(void)c;
	(void)argv;
	return EXIT_USAGE;
}

int print_help(const struct command *c)
{
	(void)c;
	return 0;
}

/* The real one comes with all that asks a daemon. */
const char *reason_name(int reason)
{
	return reason ? "reason" : "none";
}

static void check(int good)
{
	if (!good)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	check(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
	return 0;
}

static void clean(const char *text, size_t size, size_t room)
{
	char once[300], twice[300];
	mbstate_t state = {0};
	wchar_t c;

	text_clean(once, room, text, size);
	check(strlen(once) < room);
	text_clean(twice, room, once, strlen(once));
	check(strcmp(once, twice) == 0);
	for (size_t at = 0, n; once[at]; at += n) {
		n = mbrtowc(&c, once + at, strlen(once + at), &state);
		check(n > 0 && n < (size_t)-2);
		check(c >= 0x20 && !(c >= 0x7f && c < 0xa0) && !(c >= 0x2028 && c <= 0x202e));
	}
}

static void use(char *word)
{
	struct options o = OPTIONS_INIT;
	struct columns columns;
	char bad[32], *argv[] = {word, NULL};
	long n;

	if (parse_number(word, -5, 70000, &n) == 0)
		check(n >= -5 && n <= 70000);
	optind = 1;
	optarg = word;
	options_take(&o, NULL, 'w', argv);
	options_take(&o, NULL, 'E', argv);
	check(o.timeout_ms >= -1 && o.conflict_exit >= -1 && o.conflict_exit <= 255);
	columns_init(&columns);
	columns_choose(&columns, word, bad);
	check(columns.count <= COLUMNS_MAX);
}

/* Patterns are looked up in the real file system: too many take too long, which the
 * person who types them may want. */
static int is_quick(const char *line)
{
	int patterns = 0;

	for (; *line; line++)
		patterns += *line == '*' || *line == '?' || *line == '[' || *line == '~';
	return patterns < 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[300];
	struct words w;

	if (size < 1 || size >= sizeof(line))
		return 0;
	clean((const char *)data + 1, size - 1, 1 + data[0]);
	memcpy(line, data + 1, size - 1);
	line[size - 1] = '\0';
	if (!is_quick(line))
		return 0;
	if (words_split(&w, line))
		return 0;
	for (int i = 0; i < w.argc; i++)
		use(w.argv[i]);
	check(w.argv[w.argc] == NULL);
	words_free(&w);
	return 0;
}
