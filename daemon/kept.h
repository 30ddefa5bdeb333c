/* kept: the terminals that the broker knows, and those among them that are kept
 * though nobody is there, because a dead holder left them dirty.
 */
#ifndef TTYLOCK_KEPT_H
#define TTYLOCK_KEPT_H

#include "broker.h"

/* The lock table remembers a dirty terminal: so must we. */
void broker_keep(struct broker *b, struct terminal *t);
void broker_unkeep(struct broker *b, struct terminal *t);

#endif
