/* kept: the terminals that the broker knows, and those among them that are kept
 * though nobody is there, because a dead holder left them dirty.
 */
#ifndef TTYLOCK_KEPT_H
#define TTYLOCK_KEPT_H

#include "broker_state.h"

/* The lock table remembers a dirty terminal: so must we. */
void kept_add(struct broker *b, struct terminal *t);
void kept_remove(struct broker *b, struct terminal *t);

/* The caller's own terminal for a proof, NULL when out of memory or over the
 * quota. Takes over *p in any case. */
struct terminal *kept_terminal(struct broker *b, struct caller *c, struct proof *p);

#endif
