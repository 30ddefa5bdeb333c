#include "address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_path(char out[ADDRESS_MAX], const char *dir, const char *rest)
{
	int n = snprintf(out, ADDRESS_MAX, "%s%s", dir, rest);

	return n < ADDRESS_MAX ? 0 : -ENAMETOOLONG;
}

int addresses_find(struct addresses *a)
{
	const char *given = secure_getenv("TTYLOCK_SOCKET");
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	char own[64];

	if (given && *given) {
		a->count = 1;
		return set_path(a->path[0], given, "");
	}
	a->count = 2;
	strcpy(a->path[0], ADDRESS_SYSTEM);
	if (runtime && *runtime == '/')
		return set_path(a->path[1], runtime, "/ttylock/ttylock.sock");
	snprintf(own, sizeof(own), "/tmp/ttylock-%u", (unsigned)geteuid());
	return set_path(a->path[1], own, "/ttylock.sock");
}

int address_prepare(const char *path)
{
	char dir[ADDRESS_MAX];
	struct stat st;

	strncpy(dir, path, sizeof(dir) - 1);
	dir[sizeof(dir) - 1] = '\0';
	char *slash = strrchr(dir, '/');
	if (!slash)
		return -EINVAL;
	*(slash == dir ? slash + 1 : slash) = '\0';

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	/* lstat: in /tmp anybody could have been first, with a link as well. */
	if (lstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return -EACCES;
	return 0;
}
