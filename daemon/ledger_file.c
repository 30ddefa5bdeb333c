/* Where a ledger comes from: made, found beside the socket, or handed to us, be it laid
 * out as ours or as another version's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger_entries.h"
#include "ledger_tail.h"

/* --- making ------------------------------------------------------------ */

static struct ledger_limits limits_of(uint32_t requests_max, uint32_t terminals_max)
{
	return (struct ledger_limits){
	    .max = {terminals_max, requests_max, requests_max, requests_max * LEDGER_TAIL_BLOCKS},
	    .stride = {sizeof(struct ledger_terminal), sizeof(struct ledger_entry),
		sizeof(struct ledger_hold), sizeof(struct ledger_block)},
	};
}

/* NULL, with errno set. */
static struct ledger *fail(struct ledger *l, int rc)
{
	ledger_free(l);
	errno = -rc;
	return NULL;
}

static struct ledger *ledger_alloc(void)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (l)
		l->map.fd = -1;
	return l;
}

/* In fd, an empty file, which it takes over. */
static struct ledger *ledger_make(int fd, const struct ledger_limits *limits)
{
	struct ledger *l = fd < 0 ? NULL : ledger_alloc();

	if (!l) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	int rc = ledger_map_format(&l->map, fd, limits);
	return rc < 0 ? fail(l, rc) : l;
}

static int memory_open(void)
{
	return memfd_create("ttylockd-ledger", MFD_CLOEXEC);
}

struct ledger *ledger_new(uint32_t requests_max, uint32_t terminals_max)
{
	struct ledger_limits limits = limits_of(requests_max, terminals_max);

	return ledger_make(memory_open(), &limits);
}

static int terminals_copy(struct ledger *to, const struct ledger *from)
{
	for (uint32_t old = 0; old < ledger_terminals(from); old++) {
		if (!*entry_state(from, LEDGER_TERMINALS, old))
			continue;
		uint32_t entry = entry_take(to, LEDGER_TERMINALS);
		if (entry == LEDGER_NONE)
			return -ENOSPC;
		entry_read(from, LEDGER_TERMINALS, old,
		    ledger_map_entry(&to->map, LEDGER_TERMINALS, entry),
		    sizeof(struct ledger_terminal));
	}
	return 0;
}

static int requests_copy(struct ledger *to, const struct ledger *from)
{
	struct ledger_request r;

	for (uint32_t old = 0; old < ledger_requests(from); old++) {
		if (!ledger_get_request(from, old, &r))
			continue;
		uint32_t entry = ledger_add(to, &r);
		if (entry == LEDGER_NONE || (hold_at(from, old) && !hold_get(to, entry)))
			return -ENOSPC;
		if (hold_at(from, old))
			entry_read(from, LEDGER_HOLDS, old, hold_at(to, entry),
			    sizeof(struct ledger_hold));
		*entry_state(to, LEDGER_REQUESTS, entry) = r.state; /* be it one we do not know */
	}
	return 0;
}

/* Another version's, or of other limits, as ours, in fd, an empty file. */
static struct ledger *ledger_convert(
    const struct ledger *old, int fd, const struct ledger_limits *limits)
{
	struct ledger *l = ledger_make(fd, limits);
	if (!l)
		return NULL;

	int rc = terminals_copy(l, old);
	if (rc == 0)
		rc = requests_copy(l, old);
	*ledger_map_last_id(&l->map) = *ledger_map_last_id(&old->map);
	l->converted = true;
	return rc < 0 ? fail(l, rc) : l;
}

/* What is in fd, which it takes over, be it laid out as ours or not. */
static struct ledger *ledger_read(int fd, const struct ledger_limits *limits)
{
	struct ledger *l = ledger_alloc();

	if (!l) {
		close(fd);
		return NULL;
	}
	int rc = ledger_map_read(&l->map, fd);
	if (rc == 0 && ledger_map_fits(&l->map, limits)) {
		rc = entries_fill(l, LEDGER_TERMINALS);
		if (rc == 0)
			rc = entries_fill(l, LEDGER_REQUESTS);
		if (rc == 0)
			rc = entries_fill(l, LEDGER_BLOCKS);
	}
	return rc < 0 ? fail(l, rc) : l;
}

struct ledger *ledger_adopt(int fd, uint32_t requests_max, uint32_t terminals_max)
{
	struct ledger_limits limits = limits_of(requests_max, terminals_max);
	struct ledger *old = ledger_read(fd, &limits);

	if (!old || ledger_map_fits(&old->map, &limits))
		return old;
	struct ledger *l = ledger_convert(old, memory_open(), &limits);
	ledger_free(old);
	return l;
}

/* A new file, with what is in old (NULL: nothing), in the place of what is at path. */
static struct ledger *ledger_replace(
    const struct ledger *old, const char *path, const struct ledger_limits *limits)
{
	char name[256];

	if ((size_t)snprintf(name, sizeof(name), "%s.new", path) >= sizeof(name)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	unlink(name);
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	struct ledger *l = old ? ledger_convert(old, fd, limits) : ledger_make(fd, limits);
	if (l && rename(name, path) < 0)
		l = fail(l, -errno);
	if (!l) {
		int error = errno;

		unlink(name);
		errno = error;
	}
	return l;
}

/* A file that nobody else can have put there, or write to. */
static int file_open(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;

	int error = fstat(fd, &st) < 0 ? errno : 0;
	if (!error && (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 ||
			  (st.st_mode & 077)))
		error = EPERM;
	if (error) {
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

bool ledger_is_useless(int error)
{
	return error == EILSEQ || error == ESTALE || error == EPERM || error == ELOOP ||
	       error == ENXIO || error == EISDIR;
}

struct ledger *ledger_open(
    const char *path, uint32_t requests_max, uint32_t terminals_max, int *error)
{
	struct ledger_limits limits = limits_of(requests_max, terminals_max);
	int fd = file_open(path);
	struct ledger *old = fd < 0 ? NULL : ledger_read(fd, &limits);

	*error = old || errno == ENOENT ? 0 : errno;
	if (*error && !ledger_is_useless(*error))
		return NULL;
	if (old && ledger_map_fits(&old->map, &limits))
		return old;
	struct ledger *l = ledger_replace(old, path, &limits);
	if (old && !l)
		*error = errno;
	ledger_free(old);
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	ledger_map_close(&l->map);
	for (int i = 0; i < LEDGER_ARRAYS; i++)
		free(l->pool[i].free);
	free(l->tailed);
	free(l);
}
