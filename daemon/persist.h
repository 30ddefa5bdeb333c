/* persist: what of the broker's state goes into the ledger, and how.
 *
 * Each function tells the ledger about one thing that has happened. All do nothing
 * where there is no ledger.
 */
#ifndef TTYLOCK_PERSIST_H
#define TTYLOCK_PERSIST_H

#include <stdbool.h>

#include "broker_state.h"
#include "ledger.h"
#include "restore.h"

/* Makes sure of room for one request more. */
bool persist_reserve(struct broker *b);
/* It waits, or is about to be granted. raw_name: its task's, as it was sent. */
void persist_asked(struct broker *b, struct ticket *k, const char *raw_name);
/* Before its owner is told. */
void persist_granted(struct broker *b, const struct ticket *k);
void persist_moved(struct broker *b, const struct ticket *k);
void persist_saved(struct broker *b, const struct ticket *k, const void *saved, size_t size);
void persist_reowned(struct broker *b, const struct ticket *k);
/* What a change did to a level of k's terminal. */
void persist_left(struct broker *b, const struct ticket *k, const struct locktable_change *change);
void persist_ended(struct broker *b, struct ticket *k);

/* False: no room. */
bool persist_terminal(struct broker *b, struct terminal *t);
void persist_terminal_forgotten(struct broker *b, const struct terminal *t);

/* Of the ledger's own form. */
void persist_left_read(struct locktable_left *to, const struct ledger_left *from);

#endif
