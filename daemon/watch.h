/* watch: those who are told of all that happens to requests. */
#ifndef TTYLOCK_WATCH_H
#define TTYLOCK_WATCH_H

#include "broker_state.h"

/* 0, or -EDQUOT: its user watches with too many already. */
int watch_begin(struct broker *b, struct caller *c);

/* Also for one that does not watch. */
void watch_end(struct broker *b, struct caller *c);

#endif
