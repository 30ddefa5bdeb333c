#include "ledger_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#define MAGIC	  "ttylock\n"
#define VERSION	  2
#define PAGE_SIZE 4096
/* So many entries get their memory together. */
#define CHUNK 64

struct extent {
	uint64_t offset;
	uint32_t stride, max;
	uint32_t count; /* of which so many have memory */
	uint32_t unused;
};

struct header {
	char magic[8];
	uint32_t version, unused;
	sd_id128_t boot;
	uint64_t pid_namespace;
	uint64_t last_id;
	struct extent array[LEDGER_ARRAYS];
};

static struct header *header_of(const struct ledger_map *m)
{
	return (struct header *)m->at;
}

/* 0 or -EIO: where we are is not known, so not whether a ledger is from here either. */
static int header_fill(struct header *h, const struct ledger_limits *limits)
{
	uint64_t offset = PAGE_SIZE;
	struct stat namespace;

	*h = (struct header){.version = VERSION};
	memcpy(h->magic, MAGIC, sizeof(h->magic));
	int rc = sd_id128_get_boot(&h->boot);
	/* The service has no /proc/sys; what it keeps goes with the boot. */
	if (rc == -ENOENT)
		h->boot = SD_ID128_NULL;
	else if (rc < 0)
		return -EIO;
	if (stat("/proc/self/ns/pid", &namespace) < 0)
		return -EIO;
	h->pid_namespace = namespace.st_ino;
	for (int i = 0; i < LEDGER_ARRAYS; i++) {
		uint64_t length = (uint64_t)limits->max[i] * limits->stride[i];

		h->array[i] = (struct extent){
		    .offset = offset, .stride = limits->stride[i], .max = limits->max[i]};
		offset += (length + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
	}
	return 0;
}

static size_t size_of(const struct header *h)
{
	const struct extent *last = &h->array[LEDGER_ARRAYS - 1];

	return last->offset + (size_t)last->max * last->stride;
}

static int arrays_of(const struct header *h)
{
	return h->version == 1 ? LEDGER_BLOCKS : LEDGER_ARRAYS;
}

/* 0; -EILSEQ; -ESTALE; -EIO. Whatever passes can be walked through without leaving it. */
static int header_check(const struct header *h, size_t size)
{
	const struct ledger_limits none = {0};
	struct header ours;
	uint64_t end = sizeof(*h);

	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 || h->version < 1 ||
	    h->version > VERSION)
		return -EILSEQ;
	int rc = header_fill(&ours, &none);
	if (rc < 0)
		return rc;
	bool known = !sd_id128_is_null(h->boot) && !sd_id128_is_null(ours.boot);
	if ((known && !sd_id128_equal(h->boot, ours.boot)) ||
	    h->pid_namespace != ours.pid_namespace)
		return -ESTALE;
	for (int i = 0; i < arrays_of(h); i++) {
		const struct extent *x = &h->array[i];

		if (x->offset < end || x->offset > size || x->offset % 8 || x->stride % 8 ||
		    x->stride < 8 || x->max > (size - x->offset) / x->stride || x->count > x->max)
			return -EILSEQ;
		end = x->offset + (uint64_t)x->max * x->stride;
	}
	return h->array[LEDGER_HOLDS].max >= h->array[LEDGER_REQUESTS].max ? 0 : -EILSEQ;
}

static int map(struct ledger_map *m, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	m->at = at;
	m->size = size;
	return 0;
}

int ledger_map_format(struct ledger_map *m, int fd, const struct ledger_limits *limits)
{
	struct header h;

	*m = (struct ledger_map){.fd = fd};
	int rc = header_fill(&h, limits);
	if (rc < 0)
		return rc;
	if (ftruncate(fd, (off_t)size_of(&h)) < 0 || fallocate(fd, 0, 0, PAGE_SIZE) < 0)
		return -errno;
	rc = map(m, size_of(&h));
	if (rc == 0)
		memcpy(m->at, &h, sizeof(h));
	return rc;
}

int ledger_map_read(struct ledger_map *m, int fd)
{
	struct stat st;

	*m = (struct ledger_map){.fd = fd};
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < PAGE_SIZE)
		return -EILSEQ;
	int rc = map(m, (size_t)st.st_size);
	return rc < 0 ? rc : header_check(header_of(m), m->size);
}

void ledger_map_close(struct ledger_map *m)
{
	if (m->at)
		munmap(m->at, m->size);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct ledger_map){.fd = -1};
}

uint32_t ledger_map_version(const struct ledger_map *m)
{
	return header_of(m)->version;
}

bool ledger_map_fits(const struct ledger_map *m, const struct ledger_limits *limits)
{
	if (header_of(m)->version != VERSION)
		return false;
	for (int i = 0; i < LEDGER_ARRAYS; i++) {
		const struct extent *x = &header_of(m)->array[i];

		if (x->stride != limits->stride[i] || x->max != limits->max[i])
			return false;
	}
	return true;
}

uint32_t ledger_map_count(const struct ledger_map *m, enum ledger_array array)
{
	const struct header *h = header_of(m);

	return (int)array < arrays_of(h) ? h->array[array].count : 0;
}

uint32_t ledger_map_stride(const struct ledger_map *m, enum ledger_array array)
{
	return header_of(m)->array[array].stride;
}

void *ledger_map_entry(const struct ledger_map *m, enum ledger_array array, uint32_t entry)
{
	const struct extent *x = &header_of(m)->array[array];

	return m->at + x->offset + (size_t)entry * x->stride;
}

int ledger_map_extend(struct ledger_map *m, enum ledger_array array)
{
	struct extent *x = &header_of(m)->array[array];
	uint32_t left = x->max - x->count, n = left < CHUNK ? left : CHUNK;
	off_t from = (off_t)(x->offset + (uint64_t)x->count * x->stride);

	if (n == 0)
		return -ENOSPC;
	if (fallocate(m->fd, FALLOC_FL_KEEP_SIZE, from, (off_t)n * x->stride) < 0)
		return -errno;
	x->count += n;
	return 0;
}

uint64_t *ledger_map_last_id(const struct ledger_map *m)
{
	return &header_of(m)->last_id;
}
