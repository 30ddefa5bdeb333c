#include "kept.h"

#include "persist.h"
#include "policy.h"

/* Dirty terminals with nobody there that are remembered at a time. */
#define KEPT_MAX 256

void kept_add(struct broker *b, struct terminal *t)
{
	if (t->kept)
		return;
	t->kept = true;
	b->kept++;
	terminal_ref(t);
}

void kept_remove(struct broker *b, struct terminal *t)
{
	if (!t->kept)
		return;
	t->kept = false;
	b->kept--;
	terminal_unref(t);
}

/* Forgets the dirty terminals that are dead, and the one kept longest if there
 * are too many. New ones are put first, so that is the last in the list. */
static void kept_sweep(struct broker *b)
{
	struct terminal *next, *oldest = NULL;

	if (b->kept == 0)
		return;
	for (struct terminal *t = b->terminals.first; t; t = next) {
		next = t->next;
		if (!t->kept)
			continue;
		if (terminal_alive(t)) {
			oldest = t;
			continue;
		}
		locktable_forget(b->table, t->id);
		kept_remove(b, t);
	}
	if (b->kept >= KEPT_MAX && oldest) {
		locktable_forget(b->table, oldest->id);
		kept_remove(b, oldest);
	}
}

struct terminal *kept_terminal(struct broker *b, struct caller *c, struct proof *p)
{
	struct terminal *t = terminals_find(&b->terminals, p);

	if (t) {
		proof_close(p);
		return terminal_ref(t);
	}
	kept_sweep(b);
	struct policy_case pc = {
	    .uid = c->cred.uid,
	    .mine = c->usage->terminals,
	    .others = b->terminals.count - c->usage->terminals,
	    .total = b->terminals_max,
	};
	if (policy_decide(POLICY_TERMINAL, &pc) == POLICY_ALLOW)
		t = terminals_add(&b->terminals, p, c->usage);
	proof_close(p);
	if (t && !persist_terminal(b, t)) {
		terminal_unref(t);
		t = NULL;
	}
	return t;
}
