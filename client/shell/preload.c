#include "preload.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libttylock-preload.so"
#ifndef TTYLOCK_MULTIARCH
#define TTYLOCK_MULTIARCH ""
#endif

static int find_library(const char *self, char out[PATH_MAX])
{
	static const char *const beside[] = {"", "../lib/", "../lib" TTYLOCK_MULTIARCH "/ttylock/"};
	int dir = (int)(strrchr(self, '/') + 1 - self);
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
		int n = snprintf(path, sizeof(path), "%.*s%s" LIBRARY, dir, self, beside[i]);
		if (n < PATH_MAX && realpath(path, out) && access(out, R_OK) == 0)
			return strpbrk(out, " :") ? -EINVAL : 0;
	}
	return -ENOENT;
}

/* name=before SEP add, or name=add; unchanged where add is in it already. */
static int append_env(const char *name, const char *add, char sep)
{
	const char *before = getenv(name);
	char *value;

	if (!before || !*before)
		return setenv(name, add, 1) < 0 ? -errno : 0;
	if (strstr(before, add))
		return 0;
	if (asprintf(&value, "%s%c%s", before, sep, add) < 0)
		return -ENOMEM;
	int r = setenv(name, value, 1) < 0 ? -errno : 0;
	free(value);
	return r;
}

int preload_setenv(void)
{
	char self[PATH_MAX], library[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -errno;
	self[n] = '\0';
	int r = find_library(self, library);
	if (r == 0)
		r = append_env("LD_PRELOAD", library, ':');
	/* gcc's ASan refuses to start behind another preloaded library. */
	if (r == 0)
		r = append_env("ASAN_OPTIONS", "verify_asan_link_order=0", ':');
	if (r == 0 && setenv("TTYLOCK_HELPER", self, 1) < 0)
		r = -errno;
	return r;
}
