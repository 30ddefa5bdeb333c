#include "ready.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* dir is of the length len and ends in a slash. NULL: no such program. */
static char *program_in(const char *dir, int len, const char *name)
{
	char *path;

	if (asprintf(&path, "%.*s%s", len, dir, name) < 0)
		return NULL;
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *beside(const char *file)
{
	char *real = realpath(file, NULL), *found;

	if (!real)
		return NULL;
	int len = (int)(strrchr(real, '/') + 1 - real);
	found = program_in(real, len, "ttylock");
	if (!found)
		found = program_in(real, len, "../bin/ttylock");
	free(real);
	return found;
}

static char *find(void)
{
	const char *given = secure_getenv("TTYLOCK_HELPER");
	char *found = NULL;
	Dl_info info;

	if (given && *given == '/')
		return strdup(given);
	if (dladdr((void *)(uintptr_t)&ready_helper, &info) && strchr(info.dli_fname, '/'))
		found = beside(info.dli_fname);
	if (!found)
		found = program_in("/usr/local/bin/", 15, "ttylock");
	return found ? found : program_in("/usr/bin/", 9, "ttylock");
}

int ready_helper(const struct helper **outp)
{
	static _Atomic(struct helper *) ready;
	struct helper *helper = ready, *none = NULL;

	if (!helper) {
		if (getauxval(AT_SECURE))
			return -EPERM;
		char *path = find();
		if (!path)
			return -ENOENT;
		helper = helper_new(path, environ, false);
		free(path);
		if (!helper)
			return -ENOMEM;
		/* Another thread may have been faster. */
		if (!atomic_compare_exchange_strong(&ready, &none, helper)) {
			helper_free(helper);
			helper = none;
		}
	}
	*outp = helper;
	return 0;
}
