/* tell: what people are told about a request: its owner, those who watch, and the
 * log. What they may see is policy's to say.
 */
#ifndef TTYLOCK_TELL_H
#define TTYLOCK_TELL_H

#include "broker.h"

/* That it holds the terminal. */
void tell_granted(struct broker *b, const struct ticket *k, const struct locktable_grant *g);

/* That it is queued, or refused as busy or as a deadlock: with who holds it. */
void tell_not_granted(struct broker *b, const struct ticket *k, ttylock_State state,
    ttylock_Code code, const struct locktable_change *change, enum broker_urgency urgency);

/* That there will be no request of that number. */
void tell_refused(struct broker *b, struct caller *c, uint64_t number, ttylock_Code code);

/* That somebody else has ended it. */
void tell_ended(
    struct broker *b, const struct ticket *k, ttylock_State state, const struct caller *by);

/* by: who has ended it, if somebody else than its owner did; NULL. */
void tell_watchers(struct broker *b, ttylock_EventKind kind, const struct ticket *k,
    uint32_t position, const struct caller *by);

#endif
