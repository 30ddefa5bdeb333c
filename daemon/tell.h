/* tell: what people are told about a request: its owner, those who watch, and the
 * log. What they may see is policy's to say.
 */
#ifndef TTYLOCK_TELL_H
#define TTYLOCK_TELL_H

#include "broker_state.h"
#include "log.h"

/* That it holds the terminal. */
void tell_granted(struct broker *b, const struct ticket *k, const struct locktable_grant *g);

/* That it is queued, or refused as busy or as a deadlock: with who holds it. */
void tell_not_granted(struct broker *b, const struct ticket *k, ttylock_State state,
    ttylock_Code code, const struct locktable_change *change, enum outlet_urgency urgency);

/* That there will be no request of that number. */
void tell_refused(struct broker *b, struct caller *c, uint64_t number, ttylock_Code code);

/* That somebody else has ended it. */
void tell_ended(
    struct broker *b, const struct ticket *k, ttylock_State state, const struct caller *by);

/* by: who has ended it, if somebody else than its owner did; NULL. */
void tell_watchers(struct broker *b, ttylock_EventKind kind, const struct ticket *k,
    uint32_t position, const struct caller *by);

/* How `viewer` may see a request. */
void tell_entry(
    const struct ticket *k, const struct caller *viewer, uint32_t position, ttylock_Entry *e);

/* Tells the log about a request; by: the other one that it comes from, or NULL;
 * note: more, or NULL. */
void tell_log(
    const struct ticket *k, enum log_kind kind, const struct caller *by, const char *note);

void tell_error(
    const struct broker *b, struct caller *c, ttylock_Code code, uint64_t ref, const char *text);

#endif
