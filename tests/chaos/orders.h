/* orders: what the steerer has asked of the daemon, for those who judge what became of it.
 *
 * An order is noted before it is given, for it may be carried out at any moment from
 * then on, and taken back once it is known not to have been. One process notes, all read.
 */
#ifndef CHAOS_ORDERS_H
#define CHAOS_ORDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum order {
	ORDER_FORCE = 1,  /* released by force */
	ORDER_FORCED = 2, /* the daemon has said that it was */
	ORDER_FIRST = 4,  /* served first */
};

void orders_init(void);

/* While one is chosen and given: that takes its time. */
void order_begin(void);
void order_end(void);
/* Who wants one to meet him waits until it is over, or for long enough. */
void order_await(void);

/* Of a request, by the daemon's id. */
void order_note(uint64_t id, enum order what);
void order_take_back(uint64_t id, enum order what);
bool order_is_noted(uint64_t id, enum order what);

/* How often somebody was to be released by force who has the stage's terminal. */
void orders_note_stage(void);
uint64_t orders_stage(void);

/* Of a request of a process. */
void order_note_cancel(pid_t pid);
void order_take_back_cancel(pid_t pid);
/* Of any that wait meanwhile. */
void order_begin_skip(void);
void order_end_skip(void);

/* To be asked before a request is made. */
uint64_t orders_skips(void);
/* Whether a request of this process that has been cancelled may have been meant by an
 * order. */
bool orders_explain_cancel(uint64_t skips_before);

#endif
