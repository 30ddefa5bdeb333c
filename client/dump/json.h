/* json: texts of other processes as JSON. */
#ifndef DUMP_JSON_H
#define DUMP_JSON_H

#include <jansson.h>
#include <stdio.h>

/* A text that need not be UTF-8. */
json_t *json_text(const char *text);

/* As json_dumps(), and still the same value, but nothing that stands in it steers a
 * terminal or turns the direction of what follows. */
char *json_harmless(const json_t *value, size_t flags);
/* That, as a line: 0, -EIO, -ENOMEM. */
int json_print(FILE *out, const json_t *value, size_t flags);

/* Of an object, "" and 0 where it is missing. */
const char *json_get_text(const json_t *object, const char *name);
json_int_t json_get_int(const json_t *object, const char *name);

#endif
