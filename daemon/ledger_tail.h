/* ledger_tail: what of a request in the ledger is as long as it is: its texts and its
 * lineage, one after the other in a chain of blocks.
 *
 * A tail is written before the request's state says that it counts, and its blocks are
 * not used for another before the state says that it no longer does. Reads nothing
 * outside the blocks whatever they contain. For the ledger alone.
 */
#ifndef TTYLOCK_LEDGER_TAIL_H
#define TTYLOCK_LEDGER_TAIL_H

#include <stdbool.h>
#include <stdint.h>

struct ledger;
struct ledger_request;
struct ledger_tail;

/* Blocks of the longest. */
#define LEDGER_TAIL_BLOCKS 9

/* r's texts and lineage, of which *t gets told. False: no room. */
bool tail_write(struct ledger *l, const struct ledger_request *r, struct ledger_tail *t);
/* Into r, which is zeroes there; r->lineage_count is set. */
void tail_read(const struct ledger *l, const struct ledger_tail *t, struct ledger_request *r);
/* Of a request that is no more: gives its blocks back. */
void tail_give(struct ledger *l, const struct ledger_tail *t);

#endif
