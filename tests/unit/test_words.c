/* links: client/shell/words.o */
/* A line of the shell becomes words, or is refused with the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/shell/words.h"

static void words_are_quoted_as_in_sh(void **state)
{
	static const struct {
		const char *line, *first, *second;
	} cases[] = {
	    {"status -J", "status", "-J"},
	    {"run 'a  b'", "run", "a  b"},
	    {"run \"it's $NAME\"", "run", "it's value"},
	    {"run ${NAME}s", "run", "values"},
	    {"run a\\ \\$NAME", "run", "a $NAME"},
	    {"awk '{print $1}'", "awk", "{print $1}"},
	    {"grep 'x$'", "grep", "x$"},
	    {"grep \"x$\"", "grep", "x$"},
	    {"grep x$", "grep", "x$"},
	    {"echo '$[$@'", "echo", "$[$@"},
	    {"echo \"'\"'$#'", "echo", "'$#"},
	};

	(void)state;
	assert_int_equal(setenv("NAME", "value", 1), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct words w;

		assert_null(words_split(&w, cases[i].line));
		assert_int_equal(w.argc, 2);
		assert_string_equal(w.argv[0], cases[i].first);
		assert_string_equal(w.argv[1], cases[i].second);
		assert_null(w.argv[2]);
		words_free(&w);
	}
}

/* The fuzzer's findings among them: arithmetic with a script's parameters. */
static void what_is_no_word_is_refused(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
	    {"echo $[$@", "after a $"},
	    {" $[$@  $@$ $@", "after a $"},
	    {"$$4$[$$$$$$$@", "after a $"},
	    {"echo $((1+1))", "after a $"},
	    {"echo \"$@\"", "after a $"},
	    {"echo $1", "after a $"},
	    {"echo $#", "after a $"},
	    {"echo ${1}", "after a $"},
	    {"echo ${NAME:-x}", "after a $"},
	    {"echo ${}", "after a $"},
	    {"echo ${NAME", "after a $"},
	    {"echo $ x", "after a $"},
	    {"echo $(id)", "no command substitution"},
	    {"echo `id`", "no command substitution"},
	    {"echo \"$(id)\"", "no command substitution"},
	    {"echo $NOT_SET_ANYWHERE", "not set"},
	    {"echo a | b", "no pipes"},
	    {"echo 'a", "does not end"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct words w;
		const char *why = words_split(&w, cases[i].line);

		assert_non_null(why);
		assert_non_null(strstr(why, cases[i].why));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_are_quoted_as_in_sh),
	    cmocka_unit_test(what_is_no_word_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
