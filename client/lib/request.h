/* request: the client's own requests and what it knows of each.
 *
 * A request outlives its connection: the daemon that comes next is told of it
 * anew, under another number. One that is over for the client is kept until the
 * daemon is known to have heard of that, for it could die before it does.
 */
#ifndef TTYLOCK_CLIENT_REQUEST_H
#define TTYLOCK_CLIENT_REQUEST_H

#include "frame.h"
#include "ttylock.h"

struct request {
	struct request *next;
	uint64_t id;	 /* ours, for good */
	uint64_t number; /* on this connection, or one before; 0: nobody was asked yet */
	enum ttylock_state state;
	int error;
	int news;	    /* an eventfd that is written to when the state changes; -1: none */
	bool follows;	    /* a thread waits at news, and can take over the reading */
	const void *handle; /* whose it is; NULL: nobody's, it is over */
	ttylock_LockRequest wish;
	ttylock_LockStatus last;     /* the daemon's last word */
	ttylock_TerminalState saved; /* ours */
	bool begun;		     /* with the terminal: it has been saved and mended */
	bool reclaiming;	     /* asked for by its token, and not answered yet */
	bool owed;		     /* its end: the daemon may not have heard of it */
	uint64_t owed_at; /* the last number when that was sent: one after it, answered, says that
			   * it was heard */
};

/* In the order in which they were made. */
struct requests {
	struct request *first;
	struct request *spare; /* room for the next one, of one that is over; NULL */
	uint64_t last_id, last_number;
};

/* NULL: no memory. */
struct request *requests_add(struct requests *all);
/* Those that are over are not found. NULL: no such id. */
struct request *requests_find(const struct requests *all, uint64_t id);
void requests_clear(struct requests *all);

/* Over for its handle: freed, or kept for as long as its end is owed. */
void requests_finish(struct requests *all, struct request *r);
bool requests_owe(const struct requests *all);
/* That number has been answered: ends that were sent before it have been heard. */
void requests_confirm(struct requests *all, uint64_t number);

/* What is to follow from a LockStatus. */
enum request_turn {
	REQUEST_GOES_ON = 1,
	REQUEST_ASK_ANEW, /* it waits, and this daemon does not know it */
	REQUEST_END,	  /* it cannot be had any more: the daemon is to forget it */
};

/* Takes in a LockStatus; one for an unknown number (a crossed answer) is ignored.
 * *outp: the request that anything but REQUEST_GOES_ON is about. */
enum request_turn requests_update(
    struct requests *all, const ttylock_LockStatus *status, struct request **outp);
/* Takes in an Error: for one request, or (ref 0) for all that are not answered. */
void requests_refuse(struct requests *all, const ttylock_Error *error);
/* Tells one of those who follow to look for itself. */
void requests_wake_one(const struct requests *all);
/* Tells all of them. */
void requests_wake_all(const struct requests *all);
/* All of them are lost: the daemon is gone for good. */
void requests_lose(struct requests *all);

/* It waits or holds, as far as we know. */
bool request_is_live(const struct request *r);
/* Its end is to be sent, or is sent with the next frame. */
void request_owe(struct requests *all, struct request *r);

/* Writes to its news. */
void request_tell(const struct request *r);

void request_describe(const struct request *r, struct ttylock_status *out);

/* The negative errno of a refusal. */
int request_errno(ttylock_Code code);

#endif
