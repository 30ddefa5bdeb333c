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

struct ledger_block {
	uint32_t next; /* LEDGER_NONE: the last */
	uint8_t bytes[60];
};

struct ledger_tail {
	uint32_t first; /* block; LEDGER_NONE: it is empty */
	/* How long they are, in this order; then comes the lineage, of 4 bytes each,
	 * and what a later version appends. */
	uint8_t task_name, text, comm, subject_comm;
};

/* Blocks of the longest. */
#define LEDGER_TAIL_BLOCKS 9

/* r's texts and lineage, of which *t gets told. False: no room. */
bool tail_write(struct ledger *l, const struct ledger_request *r, struct ledger_tail *t);
/* Into r, which is zeroes there; r->lineage_count is set. */
void tail_read(const struct ledger *l, const struct ledger_tail *t, struct ledger_request *r);
/* Of a request that is no more: gives its blocks back. */
void tail_give(struct ledger *l, const struct ledger_tail *t);

/* Of all blocks that have memory: whether they are in a tail. 0 or -ENOMEM. */
int tails_know(struct ledger *l);

#endif
