/* request: what each message from a client does: validate, policy, lock table,
 * answer. Sees decoded messages only; must not touch sockets.
 */
#ifndef TTYLOCK_REQUEST_H
#define TTYLOCK_REQUEST_H

#include "broker.h"

#define REQUEST_PROTOCOL_VERSION 1

/* 0, or -EPROTO: the caller may not send this now; its connection must end. */
int request_handle(struct broker *b, struct caller *c, const ttylock_Envelope *e);

/* What it costs of its sender's rate: see policy.h. */
uint32_t request_cost(const struct broker *b, const ttylock_Envelope *e);

#endif
