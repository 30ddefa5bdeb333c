#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger_map.h"

struct ledger {
	struct ledger_map map;
	bool converted;
	/* Of terminals and requests; a hold has the number of its request. */
	struct pool {
		uint32_t *free;
		uint32_t free_count, count; /* count: that are looked after */
	} pool[2];
};

static struct ledger_request *request_at(const struct ledger *l, uint32_t entry)
{
	return ledger_map_entry(&l->map, LEDGER_REQUESTS, entry);
}

static struct ledger_hold *hold_at(const struct ledger *l, uint32_t entry)
{
	return ledger_map_entry(&l->map, LEDGER_HOLDS, entry);
}

static struct ledger_terminal *terminal_at(const struct ledger *l, uint32_t entry)
{
	return ledger_map_entry(&l->map, LEDGER_TERMINALS, entry);
}

/* The first word of an entry tells whether it is in use. */
static uint32_t *state_of(const struct ledger *l, enum ledger_array array, uint32_t entry)
{
	return ledger_map_entry(&l->map, array, entry);
}

/* What was stored before is seen with it, what is stored later not before it: a
 * mere matter of the compiler here, for we are the only one who writes, and who
 * reads starts after our death. */
static void publish(uint32_t *state, uint32_t value)
{
	__atomic_store_n(state, value, __ATOMIC_SEQ_CST);
}

/* --- entries that are free --------------------------------------------- */

/* Looks after the entries that have memory. 0 or -ENOMEM. */
static int pool_fill(struct ledger *l, enum ledger_array array)
{
	struct pool *p = &l->pool[array];
	uint32_t count = ledger_map_count(&l->map, array);
	uint32_t *grown = reallocarray(p->free, count, sizeof(*grown));

	if (!grown && count)
		return -ENOMEM;
	p->free = grown;
	/* The lowest last: it is taken first. */
	for (uint32_t entry = count; entry-- > p->count;) {
		if (!*state_of(l, array, entry))
			p->free[p->free_count++] = entry;
	}
	p->count = count;
	return 0;
}

static int pool_extend(struct ledger *l, enum ledger_array array)
{
	int rc = 0;

	/* First, so that no request is without its hold. */
	if (array == LEDGER_REQUESTS &&
	    ledger_map_count(&l->map, LEDGER_HOLDS) == l->pool[array].count)
		rc = ledger_map_extend(&l->map, LEDGER_HOLDS);
	if (rc == 0)
		rc = ledger_map_extend(&l->map, array);
	return rc < 0 ? rc : pool_fill(l, array);
}

static bool entry_reserve(struct ledger *l, enum ledger_array array)
{
	return l->pool[array].free_count > 0 ||
	       (pool_extend(l, array) == 0 && l->pool[array].free_count > 0);
}

static uint32_t entry_take(struct ledger *l, enum ledger_array array)
{
	struct pool *p = &l->pool[array];

	return entry_reserve(l, array) ? p->free[--p->free_count] : LEDGER_NONE;
}

static void entry_give(struct ledger *l, enum ledger_array array, uint32_t entry)
{
	struct pool *p = &l->pool[array];

	publish(state_of(l, array, entry), 0);
	p->free[p->free_count++] = entry;
}

/* --- making ------------------------------------------------------------ */

static struct ledger_limits limits_of(uint32_t requests_max, uint32_t terminals_max)
{
	return (struct ledger_limits){
	    .max = {terminals_max, requests_max, requests_max},
	    .stride = {sizeof(struct ledger_terminal), sizeof(struct ledger_request),
		sizeof(struct ledger_hold)},
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

/* What both know of an entry. */
static void entry_copy(struct ledger *to, uint32_t entry, const struct ledger *from, uint32_t old,
    enum ledger_array array)
{
	size_t ours = ledger_map_stride(&to->map, array);
	size_t theirs = ledger_map_stride(&from->map, array);

	memcpy(ledger_map_entry(&to->map, array, entry), ledger_map_entry(&from->map, array, old),
	    ours < theirs ? ours : theirs);
}

static int array_copy(struct ledger *to, const struct ledger *from, enum ledger_array array)
{
	for (uint32_t old = 0; old < ledger_map_count(&from->map, array); old++) {
		if (!*state_of(from, array, old))
			continue;
		uint32_t entry = entry_take(to, array);
		if (entry == LEDGER_NONE)
			return -ENOSPC;
		entry_copy(to, entry, from, old, array);
		if (array == LEDGER_REQUESTS)
			entry_copy(to, entry, from, old, LEDGER_HOLDS);
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

	int rc = array_copy(l, old, LEDGER_TERMINALS);
	if (rc == 0)
		rc = array_copy(l, old, LEDGER_REQUESTS);
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
		rc = pool_fill(l, LEDGER_TERMINALS);
		if (rc == 0)
			rc = pool_fill(l, LEDGER_REQUESTS);
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

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
			   st.st_nlink != 1 || (st.st_mode & 077))) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

struct ledger *ledger_open(
    const char *path, uint32_t requests_max, uint32_t terminals_max, int *error)
{
	struct ledger_limits limits = limits_of(requests_max, terminals_max);
	int fd = file_open(path);
	struct ledger *old = fd < 0 ? NULL : ledger_read(fd, &limits);

	*error = old || errno == ENOENT ? 0 : errno;
	if (old && ledger_map_fits(&old->map, &limits))
		return old;
	struct ledger *l = ledger_replace(old, path, &limits);
	ledger_free(old);
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	ledger_map_close(&l->map);
	free(l->pool[LEDGER_TERMINALS].free);
	free(l->pool[LEDGER_REQUESTS].free);
	free(l);
}

int ledger_fd(const struct ledger *l)
{
	return l->map.fd;
}

bool ledger_was_converted(const struct ledger *l)
{
	return l->converted;
}

bool ledger_is_empty(const struct ledger *l)
{
	const struct pool *p = l->pool;

	if (p[LEDGER_REQUESTS].free_count != p[LEDGER_REQUESTS].count)
		return false;
	for (uint32_t i = 0; i < ledger_terminals(l); i++) {
		if (terminal_at(l, i)->used && terminal_at(l, i)->left.dirty)
			return false;
	}
	return true;
}

/* --- reading ----------------------------------------------------------- */

uint64_t ledger_last_id(const struct ledger *l)
{
	return *ledger_map_last_id(&l->map);
}

uint32_t ledger_requests(const struct ledger *l)
{
	return ledger_map_count(&l->map, LEDGER_REQUESTS);
}

uint32_t ledger_terminals(const struct ledger *l)
{
	return ledger_map_count(&l->map, LEDGER_TERMINALS);
}

#define END_STRING(array) ((array)[sizeof(array) - 1] = '\0')

static void left_mend(struct ledger_left *left)
{
	if (left->saved_size > LEDGER_SAVED_MAX)
		left->saved_size = 0;
}

bool ledger_get_request(const struct ledger *l, uint32_t entry, struct ledger_request *out)
{
	*out = *request_at(l, entry);
	if (!out->state)
		return false;
	END_STRING(out->task_name);
	END_STRING(out->text);
	END_STRING(out->comm);
	END_STRING(out->subject_comm);
	if (out->lineage_count > LEDGER_LINEAGE)
		out->lineage_count = LEDGER_LINEAGE;
	return true;
}

void ledger_get_hold(const struct ledger *l, uint32_t entry, struct ledger_hold *out)
{
	*out = *hold_at(l, entry);
	if (!out->used)
		*out = (struct ledger_hold){0};
	if (out->saved_size > LEDGER_SAVED_MAX)
		out->saved_size = 0;
	left_mend(&out->left);
}

bool ledger_get_terminal(const struct ledger *l, uint32_t entry, struct ledger_terminal *out)
{
	*out = *terminal_at(l, entry);
	END_STRING(out->path);
	left_mend(&out->left);
	return out->used;
}

/* --- writing ----------------------------------------------------------- */

bool ledger_reserve(struct ledger *l)
{
	return entry_reserve(l, LEDGER_REQUESTS);
}

uint32_t ledger_add(struct ledger *l, const struct ledger_request *r)
{
	uint32_t entry = entry_take(l, LEDGER_REQUESTS);
	if (entry == LEDGER_NONE)
		return LEDGER_NONE;

	struct ledger_request *at = request_at(l, entry);
	if (hold_at(l, entry)->used)
		*hold_at(l, entry) = (struct ledger_hold){0};
	memcpy((char *)at + sizeof(at->state), (const char *)r + sizeof(r->state),
	    sizeof(*at) - sizeof(at->state));
	if (r->id > *ledger_map_last_id(&l->map))
		*ledger_map_last_id(&l->map) = r->id;
	publish(&at->state, LEDGER_QUEUED);
	return entry;
}

void ledger_grant(struct ledger *l, uint32_t entry, uint64_t granted)
{
	request_at(l, entry)->granted = granted;
	publish(&request_at(l, entry)->state, LEDGER_GRANTED);
}

void ledger_move(struct ledger *l, uint32_t entry, uint64_t under, int64_t rank)
{
	/* Half of it is a place further back, never one that is not its own. */
	request_at(l, entry)->under = under;
	request_at(l, entry)->rank = rank;
}

void ledger_set_caller(struct ledger *l, uint32_t entry, uint64_t caller)
{
	request_at(l, entry)->caller = caller;
}

void ledger_save(struct ledger *l, uint32_t entry, const void *saved, size_t size)
{
	struct ledger_hold *h = hold_at(l, entry);

	publish(&h->saved_size, 0);
	memcpy(h->saved, saved, size);
	publish(&h->saved_size, (uint32_t)size);
	publish(&h->used, 1);
}

/* Dirty without a state while it is written: that is true, and says less. */
static void left_write(struct ledger_left *to, const struct ledger_left *from)
{
	__atomic_store_n(&to->saved_size, 0, __ATOMIC_SEQ_CST);
	to->dirty = from->dirty;
	to->untold = from->untold;
	memcpy(to->saved, from->saved, sizeof(to->saved));
	__atomic_store_n(&to->saved_size, from->saved_size, __ATOMIC_SEQ_CST);
}

void ledger_set_left(struct ledger *l, uint32_t entry, const struct ledger_left *left)
{
	left_write(&hold_at(l, entry)->left, left);
	publish(&hold_at(l, entry)->used, 1);
}

void ledger_end(struct ledger *l, uint32_t entry)
{
	entry_give(l, LEDGER_REQUESTS, entry);
}

uint32_t ledger_add_terminal(struct ledger *l, const struct ledger_terminal *t)
{
	uint32_t entry = entry_take(l, LEDGER_TERMINALS);
	if (entry == LEDGER_NONE)
		return LEDGER_NONE;

	struct ledger_terminal *at = terminal_at(l, entry);
	memcpy((char *)at + sizeof(at->used), (const char *)t + sizeof(t->used),
	    sizeof(*at) - sizeof(at->used));
	publish(&at->used, 1);
	return entry;
}

void ledger_set_terminal_left(struct ledger *l, uint32_t entry, const struct ledger_left *left)
{
	left_write(&terminal_at(l, entry)->left, left);
}

void ledger_end_terminal(struct ledger *l, uint32_t entry)
{
	entry_give(l, LEDGER_TERMINALS, entry);
}
