#include "beside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef TTYLOCK_MULTIARCH
#define TTYLOCK_MULTIARCH ""
#endif

int beside_self(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

int beside_find(const char *name, char out[PATH_MAX])
{
	static const char *const beside[] = {"", "../lib/", "../lib" TTYLOCK_MULTIARCH "/ttylock/"};
	char self[PATH_MAX], path[PATH_MAX];

	int r = beside_self(self);
	if (r < 0)
		return r;
	int dir = (int)(strrchr(self, '/') + 1 - self);
	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
		int n = snprintf(path, sizeof(path), "%.*s%s%s", dir, self, beside[i], name);
		if (n < PATH_MAX && realpath(path, out) && access(out, R_OK) == 0)
			return 0;
	}
	return -ENOENT;
}
