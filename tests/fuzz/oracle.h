/* oracle: what the daemon has to say to whom, told from the protocol's text and the
 * lock table's reference alone, before the daemon is asked.
 *
 * It follows the daemon at two seams: a frame that was taken in, and a caller that is
 * gone; every message that leaves is compared with what is due, in order. It looks at
 * a struct caller for what is a fact of the connection (who, greeted, dying, gone),
 * never at the lock table.
 */
#ifndef TTYLOCK_FUZZ_ORACLE_H
#define TTYLOCK_FUZZ_ORACLE_H

#include "../../daemon/broker.h"

/* Forgets all. The broker is looked at, when nothing is going on in it, for what the
 * reference does not tell. */
void oracle_reset(const struct broker *b, uint32_t requests_max);

/* Before the daemon handles a frame of that caller (terminal: which one of the world
 * the descriptor is that came with it): 0, or -EPROTO, the daemon's own
 * answer to be. After it: all that was due has been said. */
int oracle_request(const struct caller *c, const ttylock_Envelope *e, int terminal);
void oracle_gone(const struct caller *c);
void oracle_settled(void);

/* The daemon says that now. */
void oracle_said(const struct caller *c, const ttylock_Envelope *e);

/* A request that there is. */
struct oracle_choice {
	uint64_t id, number, owner;
	const uint8_t *token; /* 16 bytes, or NULL: it has none yet */
};
/* The nth of the requests there are, modulo; false: none. */
bool oracle_pick(unsigned n, struct oracle_choice *out);

/* An absent caller's request is ended because its time is over. */
void oracle_overdue(uint64_t id);

/* The daemon was started anew, with all that it knew: of callers that are absent. */
void oracle_restarted(void);

/* Somebody who is absent was granted something, or track was lost: what is said from
 * then on is not compared any more. */
bool oracle_is_blind(void);
void oracle_lose_track(void);

/* What the table tells must be what the reference tells. */
void oracle_compare(void);

/* Whether that caller was to be closed for what it has said. */
bool oracle_may_close(const struct caller *c);

#endif
