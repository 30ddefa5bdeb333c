/* json: texts of other processes as JSON. */
#ifndef DUMP_JSON_H
#define DUMP_JSON_H

#include <jansson.h>

/* A text that need not be UTF-8. */
json_t *json_text(const char *text);

/* Of an object, "" and 0 where it is missing. */
const char *json_get_text(const json_t *object, const char *name);
json_int_t json_get_int(const json_t *object, const char *name);

#endif
