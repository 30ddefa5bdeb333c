#include "json.h"

#include <ctype.h>
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

const char *json_get_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

json_int_t json_get_int(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}
