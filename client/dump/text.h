/* text: a dump (dump.h) for people. */
#ifndef DUMP_TEXT_H
#define DUMP_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* why: what the dump was made for, or NULL. */
void text_print(FILE *out, const json_t *dump, const char *why);

#endif
