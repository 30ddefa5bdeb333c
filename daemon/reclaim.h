/* reclaim: a request of before the restart goes on as that of a caller who has come
 * back.
 */
#ifndef TTYLOCK_RECLAIM_H
#define TTYLOCK_RECLAIM_H

#include "broker_state.h"

/* With that number of c's. */
void reclaim(struct broker *b, struct ticket *k, struct caller *c, uint64_t number);

/* The request of which c has the token, if it is its own. */
void reclaim_by_token(
    struct broker *b, struct caller *c, uint64_t number, const uint8_t token[TOKEN_SIZE]);

#endif
