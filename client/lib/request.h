/* request: the client's own requests and what it knows of each. */
#ifndef TTYLOCK_CLIENT_REQUEST_H
#define TTYLOCK_CLIENT_REQUEST_H

#include "frame.h"
#include "ttylock.h"

struct request {
	struct request *next;
	uint64_t id; /* ours, unique on the connection */
	enum ttylock_state state;
	int error;
	int news;	    /* an eventfd that is written to when the state changes; -1: none */
	bool follows;	    /* a thread waits at news, and can take over the reading */
	const void *handle; /* whose it is */
	ttylock_LockStatus last; /* the daemon's last word */
};

struct requests {
	struct request *first;
	uint64_t last_id;
};

/* NULL: no memory. */
struct request *requests_add(struct requests *all);
/* NULL: no such id. */
struct request *requests_find(const struct requests *all, uint64_t id);
void requests_remove(struct requests *all, uint64_t id);
void requests_clear(struct requests *all);

/* Takes in a LockStatus; one for an unknown id (a crossed answer) is ignored. */
void requests_update(struct requests *all, const ttylock_LockStatus *status);
/* Takes in an Error: for one request, or (ref 0) for all that are not answered. */
void requests_refuse(struct requests *all, const ttylock_Error *error);
/* Tells one of those who follow to look for itself. */
void requests_wake_one(const struct requests *all);
/* All of them are lost: the daemon is gone. */
void requests_lose(struct requests *all);

/* Writes to its news. */
void request_tell(const struct request *r);

void request_describe(const struct request *r, struct ttylock_status *out);

/* The negative errno of a refusal. */
int request_errno(ttylock_Code code);

#endif
