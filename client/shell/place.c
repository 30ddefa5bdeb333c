#include "place.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/terminal.h"

static bool path_of(int tty, char out[PLACE_MAX])
{
	bool found = terminal_path(tty, out, PLACE_MAX) == 0;

	close(tty);
	return found;
}

bool place_here(char out[PLACE_MAX])
{
	int tty = terminal_open();

	return tty >= 0 && path_of(tty, out);
}

/* Not opened: it may be another user's. */
bool place_named(const char *name, char out[PLACE_MAX])
{
	char path[PATH_MAX], real[PATH_MAX];
	struct stat st;

	if (!strcmp(name, "/dev/tty"))
		return place_here(out);
	snprintf(path, sizeof(path), "%s%s", *name == '/' ? "" : "/dev/", name);
	if (!*name || !realpath(path, real) || stat(real, &st) < 0 || !S_ISCHR(st.st_mode) ||
	    strlen(real) >= PLACE_MAX)
		return false;
	strcpy(out, real);
	return true;
}
