#include "left.h"

#include <string.h>

void left_drop_saved(struct locktable *t, uint32_t *saved)
{
	if (*saved != SLOT_NONE)
		slots_give(&t->saved, *saved);
	*saved = SLOT_NONE;
}

/* For where there is none yet. */
static void saved_move(struct locktable *t, uint32_t *to, uint32_t *from)
{
	if (*to == SLOT_NONE) {
		*to = *from;
		*from = SLOT_NONE;
	}
	left_drop_saved(t, from);
}

/* Of several dead the outermost counts: its state is that of before them all. */
void left_dirty(struct locktable *t, struct request *r, bool topmost)
{
	struct left *level = records_level(t, r);

	if (!level->untold && r->saved != SLOT_NONE)
		left_drop_saved(t, &level->saved); /* it was told, and has mended that */
	saved_move(t, &level->saved, &r->saved);
	saved_move(t, &level->saved, &r->left.saved);
	level->dirty = true;
	level->untold = level->untold || !topmost;
}

void left_clean(struct locktable *t, struct request *r, bool topmost)
{
	struct left *level = records_level(t, r);

	if (!level->untold) {
		left_drop_saved(t, &level->saved);
		level->dirty = false;
	}
	left_drop_saved(t, &r->saved);
	if (!topmost && !level->dirty)
		*level = r->left; /* the one on top, who was told of it, stands here now */
	else
		left_drop_saved(t, &r->left.saved);
}

/* What was left on top of it, nobody has mended: it is the level's, but where that has
 * something itself. */
void left_untouched(struct locktable *t, struct request *r)
{
	struct left *level = records_level(t, r);

	if (level->dirty || !r->left.dirty) {
		left_drop_saved(t, &r->left.saved);
		return;
	}
	left_drop_saved(t, &level->saved);
	*level = r->left;
}

bool left_differs(const struct left *a, const struct left *b)
{
	return a->dirty != b->dirty || a->untold != b->untold || a->saved != b->saved;
}

bool locktable_save(struct locktable *t, uint64_t request, const void *saved, size_t size)
{
	uint32_t slot = records_request(t, request);

	if (slot == SLOT_NONE || !request_at(t, slot)->holds || size > LOCKTABLE_SAVED_MAX)
		return false;
	struct request *r = request_at(t, slot);
	if (size == 0) {
		left_drop_saved(t, &r->saved);
		return true;
	}
	if (r->saved == SLOT_NONE)
		r->saved = slots_take(&t->saved);
	if (r->saved == SLOT_NONE)
		return false;
	memcpy(saved_at(t, r->saved)->bytes, saved, size);
	saved_at(t, r->saved)->size = size;
	return true;
}
