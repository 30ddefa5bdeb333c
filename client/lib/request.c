#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* An eventfd that is full has told already. */
void request_tell(const struct request *r)
{
	if (r->news >= 0)
		eventfd_write(r->news, 1);
}

struct request *requests_add(struct requests *all)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->id = ++all->last_id;
	r->state = TTYLOCK_QUEUED;
	r->news = -1;
	r->next = all->first;
	all->first = r;
	return r;
}

struct request *requests_find(const struct requests *all, uint64_t id)
{
	struct request *r = all->first;

	while (r && r->id != id)
		r = r->next;
	return r;
}

void requests_remove(struct requests *all, uint64_t id)
{
	for (struct request **at = &all->first; *at; at = &(*at)->next) {
		if ((*at)->id == id) {
			struct request *gone = *at;
			*at = gone->next;
			free(gone);
			return;
		}
	}
}

void requests_clear(struct requests *all)
{
	while (all->first)
		requests_remove(all, all->first->id);
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

void requests_update(struct requests *all, const ttylock_LockStatus *status)
{
	struct request *r = requests_find(all, status->request);

	if (!r)
		return;
	r->state = state_of(status->state);
	r->error = request_errno(status->code);
	r->last = *status;
	request_tell(r);
}

void requests_refuse(struct requests *all, const ttylock_Error *error)
{
	for (struct request *r = all->first; r; r = r->next) {
		if ((error->ref && r->id != error->ref) || r->state != TTYLOCK_QUEUED || r->last.id)
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

void requests_lose(struct requests *all)
{
	for (struct request *r = all->first; r; r = r->next) {
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
