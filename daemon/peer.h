/* peer: one connection, and the set of them: receive, queue to send, life and
 * death.
 *
 * A peer that is found dead leaves the lock table and is freed only when the
 * event's callback is through with everything else, so nobody up the stack is
 * left with a dangling pointer. Must never block on a peer.
 */
#ifndef TTYLOCK_PEER_H
#define TTYLOCK_PEER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker.h"
#include "cred.h"
#include "turn.h"
#include "usage.h"

struct peer;

struct peers {
	struct event_base *base;
	struct broker *broker;
	struct peer *first; // owns
	struct peer *dead;  // to be freed
	struct event reap;  /* where nobody else does so */
	struct turns turns;
	uint32_t count;
	uint64_t last_id;
	/* Called when one was freed; peers_add may be called from it. */
	void (*freed)(void *arg);
	void *freed_arg;
};

/* base, broker and usages must outlive it. */
void peers_init(struct peers *set, struct event_base *base, struct broker *broker,
    struct usages *usages, void (*freed)(void *arg), void *arg);
/* Ends and frees all. */
void peers_deinit(struct peers *set);

/* Takes over sock (non-blocking), *cred and a reference to usage; or returns
 * -ENOMEM and takes nothing. */
int peers_add(struct peers *set, int sock, struct cred *cred, struct usage *usage);

/* Calls fn for each living peer, with the bytes that lie unsent, until it returns
 * false. */
void peers_each(const struct peers *set,
    bool (*fn)(const struct caller *c, size_t unsent, void *arg), void *arg);

/* What the broker sends with. */
extern const struct outlet_ops peer_ops;

#endif
