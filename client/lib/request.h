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
/* All of them are lost: the daemon is gone. */
void requests_lose(struct requests *all);

/* The negative errno of a refusal. */
int request_errno(ttylock_Code code);

#endif
