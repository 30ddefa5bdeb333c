#include "terminal.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "usage.h"

void terminals_init(struct terminals *set)
{
	*set = (struct terminals){0};
}

static void terminal_free(struct terminal *t)
{
	if (t->next)
		t->next->prev = t->prev;
	if (t->prev)
		t->prev->next = t->next;
	else
		t->set->first = t->next;
	t->set->count--;
	if (t->set->forgotten)
		t->set->forgotten(t, t->set->forgotten_arg);
	if (t->payer) {
		t->payer->terminals--;
		usage_unref(t->payer);
	}
	proof_close(&t->proof);
	free(t);
}

void terminals_deinit(struct terminals *set)
{
	while (set->first)
		terminal_free(set->first);
}

struct terminal *terminals_find(const struct terminals *set, struct proof *p)
{
	struct terminal *t = set->first;

	while (t && !(t->proof.device == p->device && t->proof.filesystem == p->filesystem &&
			terminal_alive(t)))
		t = t->next;
	if (t && t->proof.handle < 0) {
		t->proof.handle = p->handle;
		p->handle = -1;
	}
	return t;
}

struct terminal *terminals_restore(
    struct terminals *set, uint64_t id, struct proof *p, struct usage *payer)
{
	struct terminal *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;

	t->id = id;
	if (id > set->last_id)
		set->last_id = id;
	t->proof = *p;
	p->handle = -1;
	t->refs = 1;
	t->set = set;
	t->payer = payer;
	if (payer) {
		usage_ref(payer);
		payer->terminals++;
	}
	t->next = set->first;
	if (t->next)
		t->next->prev = t;
	set->first = t;
	set->count++;
	return t;
}

struct terminal *terminals_add(struct terminals *set, struct proof *p, struct usage *payer)
{
	return terminals_restore(set, set->last_id + 1, p, payer);
}

struct terminal *terminal_ref(struct terminal *t)
{
	t->refs++;
	return t;
}

void terminal_unref(struct terminal *t)
{
	if (t && --t->refs == 0)
		terminal_free(t);
}

bool terminal_alive(const struct terminal *t)
{
	struct stat st;

	/* One that only could not be looked at is alive: taken for dead, it would be
	 * made again, with a second holder. */
	return t->proof.handle < 0 || fstat(t->proof.handle, &st) < 0 || st.st_nlink > 0;
}

bool terminal_alive_at(struct terminal *t, uint64_t now)
{
	if (t->seen == now)
		return true;
	if (!terminal_alive(t))
		return false;
	t->seen = now;
	return true;
}

uid_t terminal_owner(const struct terminal *t)
{
	struct stat st;

	return fstat(t->proof.handle, &st) == 0 && st.st_nlink > 0 ? st.st_uid : (uid_t)-1;
}
