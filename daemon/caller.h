/* caller: one connection as requests see it, without its socket. Owned by peer. */
#ifndef TTYLOCK_CALLER_H
#define TTYLOCK_CALLER_H

#include <stdbool.h>
#include <stdint.h>

#include "cred.h"
#include "proof.h"
#include "terminal.h"
#include "usage.h"

#define CALLER_TERMINALS 8

struct caller {
	uint64_t id; /* never used again */
	struct cred cred;
	struct usage *usage; // holds a reference
	uint64_t tree;
	bool greeted;
	bool dying; /* its process is dead: only what it said before counts */
	bool gone;  /* nothing more reaches it */
	/* Of before a restart, and not back: no connection, only requests. */
	bool absent;
	bool proof_pending; /* `proof` is of a descriptor without its TerminalOpen yet */
	bool watching;

	/* What it has shown, by its own numbers; most show one. All hold references. */
	struct terminal *first;
	struct terminal **others; // owns; NULL, or of CALLER_TERMINALS - 1

	/* What the descriptor that came last proves, until its TerminalOpen. */
	struct proof *proof; // owns; NULL unless it is pending without an error
	int proof_error;     /* 0 or what proof_take returned */

	/* Of its own process: NULL until it is needed. A process never gets other
	 * ancestors (an orphan goes to one of them, or to process 1), so reading
	 * it once loses nobody, and spares each request some 10 us a generation. */
	struct lineage *lineage; // holds a reference

	struct idle_wait *idle; // owns; its WaitIdle that are not answered yet
	uint32_t idle_count;
	uint32_t holds; /* requests that are granted, at whatever depth */

	struct caller *watch_prev, *watch_next; // broker.watchers
};

/* Its terminal of that number, below CALLER_TERMINALS; NULL: none. */
struct terminal *caller_terminal(const struct caller *c, uint32_t n);
/* Takes over a reference to t, or NULL; the number no longer means the old one.
 * False: out of memory, and t is given back. */
bool caller_set_terminal(struct caller *c, uint32_t n, struct terminal *t);
void caller_forget_terminals(struct caller *c);

#endif
