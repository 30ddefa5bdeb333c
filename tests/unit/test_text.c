/* links: daemon/text.o */
/* Strings from outside, made harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "daemon/text.h"

static void clean_cases(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"", ""},
	    {"plain", "plain"},
	    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9b",
		"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9b"},
	    {"\x1b[2Jgone\n\r\t\x7f", "?[2Jgone????"},
	    {"\xc2\x9b"
	     "31m",
		"?31m"}, /* CSI as C1 */
	    {"\xe2\x80\xae"
	     "exe",
		"?exe"},	   /* right-to-left override */
	    {"\xe2\x80\xa8", "?"}, /* line separator */
	    {"\xff\xfe", "??"},
	    /* The edges of what is not shown. */
	    {"\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90", "\xe2\x80\x8d??\xe2\x80\x90"},
	    {"\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf", "\xe2\x80\xa7??\xe2\x80\xaf"},
	    {"\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", "\xe2\x81\xa5??\xe2\x81\xaa"},
	    {"\xe2\x82.", "??."},
	    {"\xe2.\x82", "?.?"},
	    {"\xc0\xaf", "??"}, /* overlong '/' */
	    {"\xe0\x80\xaf", "???"},
	    {"\xed\xa0\x80", "???"},	  /* surrogate */
	    {"\xf4\x90\x80\x80", "????"}, /* beyond Unicode */
	    /* The least and the greatest of each length. */
	    {"\xc2\x80", "?"},
	    {"\xc2\x9f\xc2\xa0", "?\xc2\xa0"},
	    {"\xe0\xa0\x80", "\xe0\xa0\x80"},
	    {"\xf0\x90\x80\x80", "\xf0\x90\x80\x80"},
	    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
	    {"\xed\xbf\xbf", "???"},	  /* the last surrogate */
	    {"\xf8\x90\x80\x80", "????"}, /* begins no character */
	    {"\xe9\x82.", "??."},
	    {"cut\xe2\x82", "cut??"},
	    {") 1 (", ") 1 ("},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		text_clean(out, sizeof(out), cases[i].in, strlen(cases[i].in));
		assert_string_equal(out, cases[i].out);
	}
}

static void no_character_is_cut(void **state)
{
	char out[4];

	(void)state;
	text_clean(out, sizeof(out), "ab\xc3\xa9", 4);
	assert_string_equal(out, "ab");
	text_clean(out, sizeof(out), "abcdef", 6);
	assert_string_equal(out, "abc");
	text_clean(out, 1, "abc", 3);
	assert_string_equal(out, "");
}

static void no_terminator_needed(void **state)
{
	char in[3] = {'a', 'b', 'c'}, out[8];

	(void)state;
	text_clean(out, sizeof(out), in, sizeof(in));
	assert_string_equal(out, "abc");
	text_clean(out, sizeof(out), "ab\0cd", 5);
	assert_string_equal(out, "ab");
	/* Nor is the rest of a character looked for behind the end. */
	text_clean(out, sizeof(out), "ab\xe2\x82\xac", 4);
	assert_string_equal(out, "ab??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clean_cases),
	    cmocka_unit_test(no_character_is_cut),
	    cmocka_unit_test(no_terminator_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
