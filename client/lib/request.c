#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

/* Ends that the daemon may not have heard of. */
#define DEBTS_MAX 256

/* An eventfd that is full has told already. */
void request_tell(const struct request *r)
{
	if (r->news >= 0)
		eventfd_write(r->news, 1);
}

struct request *requests_add(struct requests *all)
{
	struct request *r = all->spare ? all->spare : malloc(sizeof(*r)), **end = &all->first;

	if (!r)
		return NULL;
	all->spare = NULL;
	memset(r, 0, sizeof(*r));
	r->id = ++all->last_id;
	r->state = TTYLOCK_QUEUED;
	r->news = -1;
	while (*end)
		end = &(*end)->next;
	*end = r;
	return r;
}

struct request *requests_find(const struct requests *all, uint64_t id)
{
	struct request *r = all->first;

	while (r && (r->id != id || !r->handle))
		r = r->next;
	return r;
}

static struct request *find_number(const struct requests *all, uint64_t number)
{
	struct request *r = all->first;

	while (r && r->number != number)
		r = r->next;
	return r;
}

static void requests_remove(struct requests *all, struct request *gone)
{
	struct request **at = &all->first;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	if (all->spare)
		free(gone);
	else
		all->spare = gone;
}

void requests_clear(struct requests *all)
{
	while (all->first)
		requests_remove(all, all->first);
	free(all->spare);
	all->spare = NULL;
}

/* One who never reads an answer owes no more than this. */
static void limit_debts(struct requests *all)
{
	struct request *oldest = NULL;
	unsigned debts = 0;

	for (struct request *r = all->first; r; r = r->next) {
		if (r->handle)
			continue;
		oldest = oldest ? oldest : r;
		debts++;
	}
	if (debts > DEBTS_MAX)
		requests_remove(all, oldest);
}

void requests_finish(struct requests *all, struct request *r)
{
	if (!r->owed) {
		requests_remove(all, r);
		return;
	}
	r->handle = NULL;
	r->news = -1;
	r->follows = false;
	limit_debts(all);
}

bool requests_owe(const struct requests *all)
{
	for (const struct request *r = all->first; r; r = r->next)
		if (r->owed)
			return true;
	return false;
}

bool request_is_live(const struct request *r)
{
	return r->state == TTYLOCK_QUEUED || r->state == TTYLOCK_GRANTED;
}

void request_owe(struct requests *all, struct request *r)
{
	r->owed = r->number != 0;
	r->owed_at = all->last_number;
}

static void settle(struct requests *all, struct request *r)
{
	r->owed = false;
	if (!r->handle)
		requests_remove(all, r);
}

int request_errno(ttylock_Code code)
{
	switch (code) {
	case ttylock_Code_ERROR_NONE:
		return 0;
	case ttylock_Code_ERROR_VERSION:
		return -EPROTONOSUPPORT;
	case ttylock_Code_ERROR_BUSY:
		return -EBUSY;
	case ttylock_Code_ERROR_DEADLOCK:
		return -EDEADLK;
	case ttylock_Code_ERROR_DENIED:
		return -EACCES;
	case ttylock_Code_ERROR_TERMINAL:
		return -ENOTTY;
	case ttylock_Code_ERROR_QUOTA:
		return -EUSERS;
	case ttylock_Code_ERROR_NOT_FOUND:
		return -ENOENT;
	case ttylock_Code_ERROR_INVALID:
		return -EINVAL;
	default:
		return -EPROTO;
	}
}

static enum ttylock_state state_of(ttylock_State state)
{
	switch (state) {
	case ttylock_State_STATE_QUEUED:
		return TTYLOCK_QUEUED;
	case ttylock_State_STATE_GRANTED:
		return TTYLOCK_GRANTED;
	case ttylock_State_STATE_RELEASED:
		return TTYLOCK_RELEASED;
	case ttylock_State_STATE_CANCELLED:
		return TTYLOCK_CANCELLED;
	default:
		return TTYLOCK_REFUSED;
	}
}

/* The daemon takes frames in their order: what we sent before this number's
 * request has been heard. */
void requests_confirm(struct requests *all, uint64_t number)
{
	for (struct request *r = all->first, *next; r; r = next) {
		next = r->next;
		if (r->owed && r->owed_at < number)
			settle(all, r);
	}
}

/* It is over for us already; all that counts is whether the daemon knows that,
 * and what to call it otherwise. */
static void update_owed(
    struct requests *all, struct request *r, enum ttylock_state state, const ttylock_LockStatus *m)
{
	if (state != TTYLOCK_QUEUED && state != TTYLOCK_GRANTED)
		settle(all, r);
	else
		r->last.token = m->token;
}

/* Who held the terminal must not go on as if it did. */
static void lose_hold(struct request *r)
{
	r->state = TTYLOCK_RELEASED;
	r->last.state = ttylock_State_STATE_RELEASED;
	strcpy(r->last.by, "a new daemon, which does not know of it");
	request_tell(r);
}

/* The answer to a reclaim. */
static enum request_turn take_back(struct request *r, enum ttylock_state state)
{
	r->reclaiming = false;
	if (state != TTYLOCK_REFUSED && state != TTYLOCK_QUEUED)
		return REQUEST_GOES_ON;
	if (r->state == TTYLOCK_GRANTED) {
		lose_hold(r);
		return REQUEST_END;
	}
	if (state == TTYLOCK_QUEUED)
		return REQUEST_GOES_ON;
	r->last = (ttylock_LockStatus)ttylock_LockStatus_init_zero;
	return REQUEST_ASK_ANEW;
}

enum request_turn requests_update(
    struct requests *all, const ttylock_LockStatus *status, struct request **outp)
{
	enum ttylock_state state = state_of(status->state);
	enum request_turn turn = REQUEST_GOES_ON;

	requests_confirm(all, status->request);
	struct request *r = status->request ? find_number(all, status->request) : NULL;
	if (!r)
		return turn;
	if (r->owed) {
		update_owed(all, r, state, status);
		return turn;
	}
	*outp = r;
	if (r->reclaiming)
		turn = take_back(r, state);
	if (turn != REQUEST_GOES_ON)
		return turn;
	r->last = *status; /* first: a child takes over what is granted, whole */
	r->error = request_errno(status->code);
	__atomic_store_n(&r->state, state, __ATOMIC_RELEASE);
	request_tell(r);
	return turn;
}

void requests_refuse(struct requests *all, const ttylock_Error *error)
{
	for (struct request *r = all->first; r; r = r->next) {
		if (!r->number || (error->ref && r->number != error->ref) ||
		    r->state != TTYLOCK_QUEUED || r->last.id)
			continue;
		r->state = TTYLOCK_REFUSED;
		r->error = request_errno(error->code);
		request_tell(r);
	}
}

void requests_wake_one(const struct requests *all)
{
	for (const struct request *r = all->first; r; r = r->next) {
		if (r->follows && r->state == TTYLOCK_QUEUED) {
			request_tell(r);
			return;
		}
	}
}

void requests_wake_all(const struct requests *all)
{
	for (const struct request *r = all->first; r; r = r->next)
		if (r->follows)
			request_tell(r);
}

void requests_lose(struct requests *all)
{
	for (struct request *r = all->first; r; r = r->next) {
		if (r->handle && request_is_live(r))
			request_owe(all, r);
		r->state = TTYLOCK_LOST;
		request_tell(r);
	}
}

void request_describe(const struct request *r, struct ttylock_status *out)
{
	const ttylock_Entry *holder = &r->last.holder;

	*out = (struct ttylock_status){
	    .state = r->state,
	    .error = r->error,
	    .id = r->last.id,
	    .position = r->last.position,
	    .waiters = r->last.waiters,
	    .holder_pid = holder->pid,
	};
	snprintf(out->holder_comm, sizeof(out->holder_comm), "%s", holder->comm);
	snprintf(out->holder_text, sizeof(out->holder_text), "%s", holder->text);
}
