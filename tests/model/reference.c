#include "reference.h"

#include <string.h>

struct plain plain[REFERENCE_MAX];
int plain_count;
struct spot spot[REFERENCE_TERMINALS + 1];

void plain_reset(void)
{
	plain_count = 0;
	for (int t = 0; t <= REFERENCE_TERMINALS; t++) {
		spot[t].holders = 0;
		spot[t].level[0] = (struct level){.saved = -1, .left.saved = -1};
	}
}

struct plain *plain_find(uint64_t id)
{
	for (int i = 0; i < plain_count; i++) {
		if (plain[i].id == id)
			return &plain[i];
	}
	return NULL;
}

struct level *plain_top(uint64_t terminal)
{
	return &spot[terminal].level[spot[terminal].holders];
}

uint64_t plain_holder(uint64_t terminal)
{
	return spot[terminal].holders ? plain_top(terminal)->grant : 0;
}

int plain_waiters(uint64_t terminal)
{
	int n = 0;

	for (int i = 0; i <= spot[terminal].holders; i++)
		n += spot[terminal].level[i].queued;
	return n;
}

int plain_terminals(void)
{
	int n = 0;

	for (uint64_t t = 1; t <= REFERENCE_TERMINALS; t++)
		n += spot[t].level[0].left.dirty || plain_holder(t);
	return n;
}

/* The level at which a request holds the terminal; 0: at none. */
int plain_level(uint64_t terminal, uint64_t id)
{
	for (int i = 1; i <= spot[terminal].holders; i++) {
		if (spot[terminal].level[i].grant == id)
			return i;
	}
	return 0;
}

static void queue_remove(struct level *l, uint64_t id)
{
	int n = 0;

	for (int i = 0; i < l->queued; i++) {
		if (l->queue[i] != id)
			l->queue[n++] = l->queue[i];
	}
	l->queued = n;
}

void plain_hold(uint64_t terminal, uint64_t id)
{
	spot[terminal].holders++;
	*plain_top(terminal) = (struct level){.grant = id, .saved = -1, .left.saved = -1};
	plain_find(id)->holds = true;
}

static int first_saved(int a, int b, int c)
{
	return a >= 0 ? a : b >= 0 ? b : c;
}

/* What the holder at a level leaves for the next one there. */
static void plain_leave(struct spot *s, int at, enum locktable_end end)
{
	struct level *gone = &s->level[at], *base = &s->level[at - 1];
	bool topmost = at == s->holders;

	if (end == LOCKTABLE_UNTOUCHED && gone->saved < 0) {
		if (!base->left.dirty && gone->left.dirty)
			base->left = gone->left;
		return;
	}
	if (end != LOCKTABLE_DIRTY) {
		if (!base->left.untold) {
			base->left.dirty = false;
			base->left.saved = -1;
		}
		if (!topmost && !base->left.dirty)
			base->left = gone->left;
		return;
	}
	base->left.saved = base->left.untold
			       ? first_saved(base->left.saved, gone->saved, gone->left.saved)
			       : first_saved(gone->saved, base->left.saved, gone->left.saved);
	base->left.dirty = true;
	base->left.untold = base->left.untold || !topmost;
}

/* Ends the holder at a level; returns who is granted then, or 0. */
static uint64_t plain_release(uint64_t terminal, int at, enum locktable_end end)
{
	struct spot *s = &spot[terminal];
	struct level *gone = &s->level[at], *base = &s->level[at - 1];
	bool topmost = at == s->holders;

	plain_leave(s, at, end);
	memmove(base->queue + gone->queued, base->queue, (size_t)base->queued * sizeof(uint64_t));
	memcpy(base->queue, gone->queue, (size_t)gone->queued * sizeof(uint64_t));
	base->queued += gone->queued;
	for (int i = at; i < s->holders; i++)
		s->level[i] = s->level[i + 1];
	s->holders--;
	if (!topmost || base->queued == 0)
		return 0;
	uint64_t next = base->queue[0];
	queue_remove(base, next);
	plain_hold(terminal, next);
	return next;
}

static uint64_t bit(const struct plain *p)
{
	return (uint64_t)1 << (p->process * REFERENCE_TASKS + p->task);
}
_Static_assert(REFERENCE_PROCESSES *REFERENCE_TASKS <= 64, "a set of tasks is a word");

/* Whom each task waits for: all before it in line. wish: a request to be, under
 * that level of its terminal, or (under -1) one that is. True: it waits for itself. */
bool plain_circle(const struct plain *wish, int under)
{
	uint64_t awaited[64] = {0}, reach, before;

	for (uint64_t t = 1; t <= REFERENCE_TERMINALS; t++) {
		uint64_t ahead = 0;

		for (int l = spot[t].holders; l >= 0; l--) {
			for (int i = 0; i < spot[t].level[l].queued; i++) {
				uint64_t b = bit(plain_find(spot[t].level[l].queue[i]));

				awaited[__builtin_ctzll(b)] |= ahead;
				ahead |= b;
			}
			if (t == wish->terminal && l == under) {
				awaited[__builtin_ctzll(bit(wish))] |= ahead;
				ahead |= bit(wish);
			}
			if (l > 0)
				ahead |= bit(plain_find(spot[t].level[l].grant));
		}
	}
	reach = awaited[__builtin_ctzll(bit(wish))];
	do {
		before = reach;
		for (uint64_t left = before; left; left &= left - 1)
			reach |= awaited[__builtin_ctzll(left)];
	} while (reach != before);
	return reach & bit(wish);
}

/* Moves the one at index `from` of a queue to index `to`. */
static void queue_move(struct level *l, int from, int to)
{
	uint64_t id = l->queue[from];

	queue_remove(l, id);
	memmove(l->queue + to + 1, l->queue + to, (size_t)(l->queued - to) * sizeof(*l->queue));
	l->queue[to] = id;
	l->queued++;
}

uint64_t plain_successor(const struct plain *p)
{
	const struct level *top = plain_top(p->terminal);

	return plain_holder(p->terminal) == p->id && top[-1].queued ? top[-1].queue[0] : 0;
}

enum locktable_outcome plain_serve_first(const struct plain *p, uint32_t *position, bool *moved)
{
	struct spot *s = &spot[p->terminal];

	*position = 1;
	*moved = false;
	for (int i = s->holders; i >= 0; i--) {
		for (int at = 0; at < s->level[i].queued; at++) {
			if (s->level[i].queue[at] != p->id)
				continue;
			queue_move(&s->level[i], at, 0);
			if (at == 0 || !plain_circle(p, -1)) {
				*moved = at > 0;
				return LOCKTABLE_QUEUED;
			}
			queue_move(&s->level[i], 0, at);
			return LOCKTABLE_DEADLOCK;
		}
		*position += (uint32_t)s->level[i].queued;
	}
	return LOCKTABLE_GRANTED;
}

enum locktable_outcome plain_want(const struct plain *wish, int under, bool nonblock)
{
	bool at_once = under == spot[wish->terminal].holders;

	for (int i = 0; i < plain_count; i++) {
		if (plain[i].process == wish->process && plain[i].terminal == wish->terminal &&
		    plain[i].task == wish->task)
			return LOCKTABLE_DEADLOCK;
	}
	if (nonblock && !at_once)
		return LOCKTABLE_BUSY;
	if (plain_circle(wish, under))
		return LOCKTABLE_DEADLOCK;
	return at_once ? LOCKTABLE_GRANTED : LOCKTABLE_QUEUED;
}

uint32_t plain_add(const struct plain *wish, int under, bool at_once)
{
	struct spot *s = &spot[wish->terminal];
	struct level *l = &s->level[under];
	uint32_t position = 0;

	plain[plain_count++] = *wish;
	if (at_once) {
		plain_hold(wish->terminal, wish->id);
		return 0;
	}
	l->queue[l->queued++] = wish->id;
	for (int i = under; i <= s->holders; i++)
		position += (uint32_t)s->level[i].queued;
	return position;
}

uint64_t plain_remove(struct plain *p, enum locktable_end end)
{
	struct spot *s = &spot[p->terminal];
	int at = plain_level(p->terminal, p->id);
	uint64_t next = 0;

	if (at)
		next = plain_release(p->terminal, at, end);
	for (int i = 0; !at && i <= s->holders; i++)
		queue_remove(&s->level[i], p->id);
	memmove(p, p + 1, (size_t)(&plain[--plain_count] - p) * sizeof(*p));
	return next;
}
