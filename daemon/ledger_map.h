/* ledger_map: the ledger's file: a header that tells where its arrays lie, mapped
 * and shared. For the ledger alone.
 *
 * Reads nothing outside the file whatever it contains, and writes to no page that
 * has no memory yet: that would be SIGBUS.
 */
#ifndef TTYLOCK_LEDGER_MAP_H
#define TTYLOCK_LEDGER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ledger_array {
	LEDGER_TERMINALS,
	LEDGER_REQUESTS,
	LEDGER_HOLDS,
	LEDGER_BLOCKS, /* since version 2 */
	LEDGER_ARRAYS
};

struct ledger_map {
	int fd; // owns
	unsigned char *at;
	size_t size;
};

struct ledger_limits {
	uint32_t max[LEDGER_ARRAYS];
	uint32_t stride[LEDGER_ARRAYS]; /* of ours */
};

/* Takes over fd, an empty file; or what is in it: -EILSEQ: unreadable, -ESTALE: of
 * another boot or pid namespace. 0 or -errno; *m is to be closed in any case. */
int ledger_map_format(struct ledger_map *m, int fd, const struct ledger_limits *limits);
int ledger_map_read(struct ledger_map *m, int fd);
void ledger_map_close(struct ledger_map *m);

/* Of its layout, from 1. */
uint32_t ledger_map_version(const struct ledger_map *m);
/* Whether it is laid out as we would do it. */
bool ledger_map_fits(const struct ledger_map *m, const struct ledger_limits *limits);

/* Entries that have memory, of `max` in all, and the length of each. */
uint32_t ledger_map_count(const struct ledger_map *m, enum ledger_array array);
uint32_t ledger_map_stride(const struct ledger_map *m, enum ledger_array array);
void *ledger_map_entry(const struct ledger_map *m, enum ledger_array array, uint32_t entry);

/* Gives memory to some entries more. 0; -ENOSPC: there are `max`; -errno. */
int ledger_map_extend(struct ledger_map *m, enum ledger_array array);

/* The highest id of a request. */
uint64_t *ledger_map_last_id(const struct ledger_map *m);

#endif
