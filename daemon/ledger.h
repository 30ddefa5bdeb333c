/* ledger: what the daemon must still know when it is started anew: who holds and
 * who waits, for which terminal, and what dead holders left there.
 *
 * A file or memfd, mapped and shared: what is written there survives our death at
 * any instruction, at the price of a store. A record counts from the moment its
 * state says so; whoever grants must have written so before anybody is told.
 * Knows nothing of the lock table, and judges nothing.
 *
 * Layout. A header that tells where the arrays lie and how long an entry is: of
 * terminals, of requests, of what holders have, and of the blocks in which each
 * request's tail lies (ledger_tail.h), which is as long as its texts are. A later
 * version may only append to an entry and to a tail, so that each version reads what
 * it knows of the other's, and finds zeroes for what the other did not know. Only
 * valid for the boot and the pid namespace in which it was written. Version 1, which
 * had no tails but room for the longest, is read, too.
 */
#ifndef TTYLOCK_LEDGER_H
#define TTYLOCK_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_NONE	 UINT32_MAX
#define LEDGER_LINEAGE	 32
#define LEDGER_SAVED_MAX 192

/* What a later version appends to each entry; only a test does so yet. */
#ifndef LEDGER_LATER
#define LEDGER_LATER
#endif

enum ledger_state {
	LEDGER_FREE,
	LEDGER_QUEUED,
	LEDGER_GRANTED, /* may have been told so */
};

/* What of a request has its place in the entry; the state comes first. */
#define LEDGER_HEAD                                                                                \
	uint32_t state; /* the rest counts while it is not LEDGER_FREE */                          \
	uint32_t uid;                                                                              \
	int32_t pid, subject_pid;                                                                  \
	uint32_t reason, lineage_count;                                                            \
	uint64_t id, caller, tree, process, terminal;                                              \
	uint64_t asked;		 /* CLOCK_MONOTONIC, ms */                                         \
	uint64_t granted, under; /* as in restore.h, with rank */                                  \
	int64_t rank;                                                                              \
	uint64_t asked_under; /* the id of the grant */                                            \
	uint64_t task_id;                                                                          \
	uint8_t token[16]

struct ledger_request {
	LEDGER_HEAD;
	/* The tail. */
	char task_name[64]; /* as it was sent; the others are cleaned */
	char text[256], comm[32], subject_comm[32];
	int32_t lineage[LEDGER_LINEAGE];
};

/* What dead holders left on a level. */
struct ledger_left {
	uint8_t dirty, untold;
	uint16_t saved_size;
	uint32_t unused;
	uint8_t saved[LEDGER_SAVED_MAX];
};

/* What only holders have: none has memory before the first of them needs it. Without
 * any to be had it is not kept. */
struct ledger_hold {
	uint32_t used; /* else all zeroes */
	uint32_t saved_size;
	uint8_t saved[LEDGER_SAVED_MAX];
	struct ledger_left left; /* on top of it */
	LEDGER_LATER
};

struct ledger_terminal {
	uint32_t used; /* the rest counts while it is not 0 */
	uint32_t device, payer;
	uint32_t unused;
	uint64_t id, filesystem;
	char path[64];
	struct ledger_left left;
	LEDGER_LATER
};

struct ledger;

/* In memory alone: survives us where somebody keeps its descriptor. NULL, with
 * errno set. */
struct ledger *ledger_new(uint32_t requests_max, uint32_t terminals_max);

/* What is in fd, a memfd of an earlier one; takes it over in any case. NULL, with
 * errno set: EILSEQ: unreadable, ESTALE: of another boot or pid namespace. */
struct ledger *ledger_adopt(int fd, uint32_t requests_max, uint32_t terminals_max);

/* Whether that says that there is no ledger of ours (any more), not only that it could not
 * be looked at: whoever is in that may hold a terminal. */
bool ledger_is_useless(int error);

/* The one at path, made if there is none; the caller sees to it that nobody else
 * has it. One that is useless is replaced, and *error tells why (0: nothing was wrong).
 * NULL: with *error not useless, there is one, which could not be read now; else with errno
 * set. */
struct ledger *ledger_open(
    const char *path, uint32_t requests_max, uint32_t terminals_max, int *error);

/* Stays where it is. NULL is fine. */
void ledger_free(struct ledger *l);

int ledger_fd(const struct ledger *l);
/* Whether the fd is another one than that which ledger_adopt was given. */
bool ledger_was_converted(const struct ledger *l);
/* No request, and no terminal that is dirty. */
bool ledger_is_empty(const struct ledger *l);

/* The highest id of a request ever entered. */
uint64_t ledger_last_id(const struct ledger *l);

/* Entries are numbered from 0 to these. */
uint32_t ledger_requests(const struct ledger *l);
uint32_t ledger_terminals(const struct ledger *l);

/* Copies, with everything that could mislead us put right. False: a free one. */
bool ledger_get_request(const struct ledger *l, uint32_t entry, struct ledger_request *out);
void ledger_get_hold(const struct ledger *l, uint32_t entry, struct ledger_hold *out);
bool ledger_get_terminal(const struct ledger *l, uint32_t entry, struct ledger_terminal *out);

/* Sees to it that there is a free one. */
bool ledger_reserve(struct ledger *l);
/* r->state does not matter: it is queued. LEDGER_NONE: no room. */
uint32_t ledger_add(struct ledger *l, const struct ledger_request *r);
void ledger_grant(struct ledger *l, uint32_t entry, uint64_t granted);
void ledger_move(struct ledger *l, uint32_t entry, uint64_t under, int64_t rank);
void ledger_set_caller(struct ledger *l, uint32_t entry, uint64_t caller);
void ledger_save(struct ledger *l, uint32_t entry, const void *saved, size_t size);
void ledger_set_left(struct ledger *l, uint32_t entry, const struct ledger_left *left);
void ledger_end(struct ledger *l, uint32_t entry);

uint32_t ledger_add_terminal(struct ledger *l, const struct ledger_terminal *t);
void ledger_set_terminal_left(struct ledger *l, uint32_t entry, const struct ledger_left *left);
void ledger_end_terminal(struct ledger *l, uint32_t entry);

#endif
