#include "json.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *text)
{
	json_t *value = json_string(text);

	if (value)
		return value;
	char *ascii = strdup(text);
	for (char *p = ascii; p && *p; p++)
		if (!isascii((unsigned char)*p))
			*p = '?';
	value = json_string(ascii ? ascii : "");
	free(ascii);
	return value;
}

/* Of UTF-8: the control characters above ASCII, which jansson takes for letters,
 * line and paragraph separators, and what turns the direction. */
static bool has_harmful(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	for (; *p; p++) {
		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			return true;
		if (p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x8e && p[2] <= 0xae &&
		    (p[2] <= 0x8f || p[2] >= 0xa8))
			return true;
		if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)
			return true;
	}
	return false;
}

char *json_harmless(const json_t *value, size_t flags)
{
	char *text = json_dumps(value, flags);

	if (!text || !has_harmful(text))
		return text;
	free(text);
	return json_dumps(value, flags | JSON_ENSURE_ASCII);
}

int json_print(FILE *out, const json_t *value, size_t flags)
{
	char *text = json_harmless(value, flags);
	int r = !text ? -ENOMEM : fprintf(out, "%s\n", text) < 0 ? -EIO : 0;

	free(text);
	return r;
}

const char *json_get_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

json_int_t json_get_int(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}
