/* ticket: what people are told about a request, which the lock table need not
 * know. Found by the daemon's number, by the caller's, or by the token that
 * proves its grant.
 */
#ifndef TTYLOCK_TICKET_H
#define TTYLOCK_TICKET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "caller.h"
#include "idle.h"
#include "lineage.h"
#include "slots.h"
#include "token.h"

/* What may be shown of it, cleaned. */
struct ticket_texts {
	char task_name[64], text[256], subject_comm[32];
};

struct ticket {
	uint64_t id;	 /* the lock table's; 0 until filed */
	uint64_t number; /* the caller's */
	struct caller *caller;
	struct terminal *terminal; // holds a reference
	uint64_t task_id;
	int reason; /* as in the protocol */
	int32_t subject_pid;
	uint64_t asked; /* ms */
	uint64_t under; /* the id of the grant that it was asked under; 0: none */
	/* Secret: never to be logged or told to anybody but its owner. One of
	 * zeroes proves nothing. */
	uint8_t token[TOKEN_SIZE];
	bool proven; /* found by it */
	/* It was granted while its owner was absent, and nobody knows. */
	bool untold;
	uint32_t entry;		 /* the ledger's; LEDGER_NONE */
	struct idle_wait *idle;	 // those that it keeps waiting
	struct lineage *lineage; // holds a reference: the subject's
	uint32_t slot;
	uint16_t text_at, comm_at;
	char texts[]; /* one after the other, each with its NUL */
};

/* Cleaned. */
static inline const char *ticket_task_name(const struct ticket *k)
{
	return k->texts;
}

static inline const char *ticket_text(const struct ticket *k)
{
	return k->texts + k->text_at;
}

static inline const char *ticket_subject_comm(const struct ticket *k)
{
	return k->texts + k->comm_at;
}

/* To an array that is at least as long as it can be. */
#define TICKET_COPY(dst, name, k)                                                                  \
	do {                                                                                       \
		_Static_assert(                                                                    \
		    sizeof(dst) >= sizeof(((struct ticket_texts *)0)->name), "would be cut");      \
		strcpy(dst, ticket_##name(k));                                                     \
	} while (0)

struct tickets {
	struct slots slots; // of struct ticket *
	struct slot_index by_id, by_number, by_token;
	uint64_t seed;
	struct ticket *spare; // owns; the memory of the last that was freed, or NULL
	size_t spare_size;
};

void tickets_init(struct tickets *set, uint32_t max, uint64_t seed);
void tickets_deinit(struct tickets *set);

/* A ticket with these, else zeroed, not to be found yet; NULL: at the maximum or out of
 * memory. */
struct ticket *ticket_new(struct tickets *set, const struct ticket_texts *texts);
/* From now on it is found. Cannot fail. id, number, caller and token must be set. */
void ticket_file(struct tickets *set, struct ticket *k);
/* A filed one gets another caller, and its number with that one. */
void ticket_reown(struct tickets *set, struct ticket *k, struct caller *c, uint64_t number);
/* Filed or not, with nobody in `idle`. Gives its references back. */
void ticket_free(struct tickets *set, struct ticket *k);

struct ticket *tickets_by_id(const struct tickets *set, uint64_t id);
struct ticket *tickets_by_number(
    const struct tickets *set, const struct caller *c, uint64_t number);
struct ticket *tickets_by_token(const struct tickets *set, const uint8_t token[TOKEN_SIZE]);

#endif
