/* restore: what must be kept of the lock table's state to make it anew, and the
 * making.
 *
 * Pure: libc only, as the table. Requests are restored holders first, in the order
 * of their grants, then waiters in the order of restore_compare; then
 * locktable_serve for each terminal.
 */
#ifndef TTYLOCK_RESTORE_H
#define TTYLOCK_RESTORE_H

#include "locktable.h"

/* Where a request stands among those for its terminal. Numbers of grants, each
 * larger than that of the grant before it. */
struct locktable_place {
	uint64_t granted; /* its own grant's; 0: it waits */
	uint64_t under;	  /* of the grant under which it asked; 0: none */
	int64_t rank;	  /* among those that wait under the same */
};

/* What dead holders left on a level: see locktable.h. */
struct locktable_left {
	bool dirty, untold;
	size_t saved_size;
	uint8_t saved[LOCKTABLE_SAVED_MAX];
};

/* False: no such request. */
bool locktable_place(const struct locktable *t, uint64_t request, struct locktable_place *place);

/* On top of a grant, or (level 0) on the terminal itself; nothing where either is
 * unknown. */
void locktable_get_left(
    const struct locktable *t, uint64_t terminal, uint64_t level, struct locktable_left *left);
/* Makes the terminal known. False: no such holder there, or no room. */
bool locktable_set_left(
    struct locktable *t, uint64_t terminal, uint64_t level, const struct locktable_left *left);

/* < 0, 0 or > 0: the order in which they are restored. */
int restore_compare(const struct locktable_place *a, const struct locktable_place *b);

/* Whether there is that request: this task has one for that terminal, or the id is in use
 * or 0. */
bool locktable_knows(const struct locktable *t, const struct locktable_wish *wish, uint64_t id);
/* wish.under and .nonblock do not count. False: it knows it, or there is no room. */
bool locktable_restore(struct locktable *t, const struct locktable_wish *wish, uint64_t id,
    const struct locktable_place *place, uint64_t asked);

/* No request gets an id that is not above it. */
void locktable_skip_ids(struct locktable *t, uint64_t last);

/* Makes another the owner. False: no such request, or no memory. */
bool locktable_reown(struct locktable *t, uint64_t request, uint64_t owner);

#endif
