/* left: what holders save, and what becomes of it on each level when one ends (see
 * locktable.h). For locktable.c alone.
 *
 * Pure: libc only.
 */
#ifndef TTYLOCK_LEFT_H
#define TTYLOCK_LEFT_H

#include "records.h"

/* Forgets a saved state; SLOT_NONE is fine, and is what *saved is then. */
void left_drop_saved(struct locktable *t, uint32_t *saved);

/* One that holds, at the top or below it, has died or was ousted; has released; or
 * never began, and has saved nothing. */
void left_dirty(struct locktable *t, struct request *r, bool topmost);
void left_clean(struct locktable *t, struct request *r, bool topmost);
void left_untouched(struct locktable *t, struct request *r);

bool left_differs(const struct left *a, const struct left *b);

#endif
