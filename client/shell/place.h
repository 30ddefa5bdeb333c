/* place: which terminal a person means. */
#ifndef TTYLOCK_PLACE_H
#define TTYLOCK_PLACE_H

#include <stdbool.h>

#define PLACE_MAX 64

/* The one that we are on, as the daemon calls it. False: there is none. */
bool place_here(char out[PLACE_MAX]);

/* The one of that name: a path, with or without /dev/. False: it is none. */
bool place_named(const char *name, char out[PLACE_MAX]);

#endif
