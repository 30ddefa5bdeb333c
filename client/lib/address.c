#include "address.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "terminal.h"

/* Nobody's, for a directory that tells of none. */
#define GROUP_NONE 65534

static int set_path(char out[ADDRESS_MAX], const char *dir, const char *rest)
{
	int n = snprintf(out, ADDRESS_MAX, "%s%s", dir, rest);

	return n < ADDRESS_MAX ? 0 : -ENAMETOOLONG;
}

static bool is_directory_of(const char *path, uid_t uid, gid_t *group)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != uid)
		return false;
	*group = st.st_gid;
	return true;
}

/* A user's own: below his runtime directory, which is not the caller's where the
 * caller became somebody else and kept the environment; or below /tmp. */
static int users_path(char out[ADDRESS_MAX], uid_t uid, gid_t *group)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	char dir[64];

	*group = GROUP_NONE;
	if (runtime && *runtime == '/' && is_directory_of(runtime, uid, group))
		return set_path(out, runtime, "/ttylock/ttylock.sock");
	snprintf(dir, sizeof(dir), "/run/user/%u", (unsigned)uid);
	if (is_directory_of(dir, uid, group))
		return set_path(out, dir, "/ttylock/ttylock.sock");
	snprintf(dir, sizeof(dir), "/tmp/ttylock-%u", (unsigned)uid);
	return set_path(out, dir, "/ttylock.sock");
}

/* Root at somebody's terminal (su, sudo) is to find that one's daemon: two would
 * not know of each other's holder. A set-user-ID program relies on nobody. */
static uid_t authority(void)
{
	char path[PATH_MAX];
	struct stat st;
	uid_t uid = geteuid();

	if (uid != 0 || getauxval(AT_SECURE))
		return uid;
	int tty = terminal_open();
	if (tty < 0)
		return uid;
	if (terminal_path(tty, path, sizeof(path)) == 0 && stat(path, &st) == 0)
		uid = st.st_uid;
	close(tty);
	return uid;
}

static bool is_file_of(const char *path, const char *rest, uid_t uid)
{
	char file[ADDRESS_MAX + 16];
	struct stat st;

	snprintf(file, sizeof(file), "%s%s", path, rest);
	return lstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == uid;
}

static bool has_record(const char *path)
{
	char ledger[ADDRESS_MAX + 16];
	const char *slash = strrchr(path, '/');

	snprintf(
	    ledger, sizeof(ledger), "%.*s/daemon/ledger", (int)(slash ? slash - path : 0), path);
	return slash && access(ledger, F_OK) == 0;
}

bool addresses_have_record(const struct addresses *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (has_record(a->path[i]))
			return true;
	return false;
}

bool address_trusts(uid_t listener)
{
	return listener == 0 || listener == geteuid() || listener == authority();
}

int addresses_find(struct addresses *a)
{
	const char *given = secure_getenv("TTYLOCK_SOCKET");

	*a = (struct addresses){.count = 1, .owner = geteuid()};
	if (given && *given)
		return set_path(a->path[0], given, "");
	a->count = 2;
	a->owner = authority();
	strcpy(a->path[0], ADDRESS_SYSTEM);
	int r = users_path(a->path[1], a->owner, &a->group);
	/* Whoever is known to one of the user's own stays with it, and so does the
	 * terminal, when the system's service is started meanwhile. */
	if (r == 0 && is_file_of(a->path[1], ".ledger", a->owner)) {
		a->count = 1;
		strcpy(a->path[0], a->path[1]);
	}
	return r;
}

int address_own(char out[ADDRESS_MAX])
{
	gid_t group;

	return users_path(out, geteuid(), &group);
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
