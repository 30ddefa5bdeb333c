#include "preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beside.h"

#define LIBRARY "libttylock-preload.so"
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
	int r = beside_self(self);

	if (r == 0)
		r = beside_find(LIBRARY, library);
	if (r == 0 && strpbrk(library, " :"))
		r = -EINVAL;
	if (r == 0)
		r = append_env("LD_PRELOAD", library, ':');
	/* gcc's ASan refuses to start behind another preloaded library. */
	if (r == 0)
		r = append_env("ASAN_OPTIONS", "verify_asan_link_order=0", ':');
	if (r == 0 && setenv("TTYLOCK_HELPER", self, 1) < 0)
		r = -errno;
	return r;
}
