#include "lock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "deadline.h"
#include "export.h"
#include "process.h"
#include "sigint.h"
#include "sync_point.h"
#include "take.h"

/* How long a release waits for a daemon that comes back. */
#define RELEASE_MS 2000

/* --- asking --------------------------------------------------------------- */

/* At most size - 1 bytes, cut before a UTF-8 character rather than inside. */
static void copy_text(char *out, size_t size, const char *text)
{
	size_t n = strnlen(text, size);

	if (n == size)
		for (n = size - 1; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
			n--;
	memcpy(out, text, n);
	out[n] = '\0';
}

static int fill_wish(
    const struct ttylock *t, ttylock_LockRequest *m, const struct ttylock_wish *wish)
{
	m->has_task = true;
	if (wish->task_name) {
		if (strlen(wish->task_name) >= sizeof(m->task.name))
			return -EINVAL;
		strcpy(m->task.name, wish->task_name);
	} else {
		prctl(PR_GET_NAME, m->task.name);
	}
	m->task.id = wish->task_id ? wish->task_id : (uint64_t)gettid();
	m->reason = wish->reason ? (ttylock_Reason)wish->reason : ttylock_Reason_REASON_COMMAND;
	if (m->reason > ttylock_Reason_REASON_COMMAND || wish->subject < 0)
		return -EINVAL;
	if (wish->text)
		copy_text(m->text, sizeof(m->text), wish->text);
	m->subject_pid = wish->subject;
	m->nonblock = wish->nonblock;
	m->under.size = (pb_size_t)t->under_size;
	memcpy(m->under.bytes, t->under, t->under_size);
	return 0;
}

static int ask(struct ttylock *t, const struct ttylock_wish *wish, int news, uint64_t *idp)
{
	ttylock_LockRequest m = ttylock_LockRequest_init_zero;

	if (t->terminal < 0)
		return -ENOTTY;
	m.terminal = (uint32_t)t->terminal;
	int r = fill_wish(t, &m, wish);
	if (r < 0 || !wish->shield)
		return r < 0 ? r : link_request(t->link, &m, t, news, idp);
	/* Up before the request leaves. */
	if (!link_is_alive(t->link) && !link_revive(t->link))
		return -ECONNRESET;
	struct shield *s;
	struct ttylock_status status;
	r = sigint_shield(t, wish, news < 0 ? t->link->stir : news, &s);
	if (r < 0)
		return r;
	r = link_request(t->link, &m, t, news, idp);
	if (r < 0) {
		sigint_drop(s);
		return r;
	}
	sigint_name(s, *idp);
	/* Another thread may have ended it before it had its name. */
	if (link_status(t->link, t, *idp, &status) == -ENOENT)
		sigint_unshield(t, *idp);
	return 0;
}

EXPORT int ttylock_acquire_async(struct ttylock *t, const struct ttylock_wish *wish, uint64_t *idp)
{
	return ask(t, wish, t->wake, idp);
}

/* What acquire returns for a request that waits no more; 1: it still does. */
static int outcome(struct ttylock *t, uint64_t id)
{
	enum ttylock_state state;
	int error;

	if (link_state(t->link, t, id, &state, &error) < 0)
		return -ECANCELED; /* by another thread */
	switch (state) {
	case TTYLOCK_GRANTED:
		return 0;
	case TTYLOCK_QUEUED:
		return 1;
	case TTYLOCK_REFUSED:
		return error ? error : -EPROTO;
	case TTYLOCK_LOST:
		return -ECONNRESET;
	default:
		return -ECANCELED;
	}
}

static bool take(int eventfd)
{
	eventfd_t count;

	return eventfd_read(eventfd, &count) == 0;
}

/* Requests that the hook took back, or that wait no more. */
static void look_after_shields(struct ttylock *t)
{
	uint64_t ids[SIGINT_SHIELDS_MAX];
	struct ttylock_status status;

	for (size_t n = sigint_waiting(t, ids); n > 0;) {
		uint64_t id = ids[--n];
		if (link_status(t->link, t, id, &status) < 0)
			continue;
		if (status.state != TTYLOCK_QUEUED)
			sigint_settle(t, id);
		else if (sigint_is_cancelled(t, id))
			link_withdraw(t->link, t, id);
	}
}

/* One look at a request that waits: 1: again. */
static int wait_once(struct ttylock *t, bool shield, uint64_t id, int64_t deadline)
{
	unsigned kept_back = sigint_kept_back(), stirs = link_stirs(t->link);

	/* Asked of the flags, for who is stirred is not told what for. */
	if (__atomic_exchange_n(&t->interrupted, 0, __ATOMIC_SEQ_CST))
		return -EINTR;
	if (shield && sigint_is_cancelled(t, id))
		return -ECANCELED;
	SYNC_POINT("acquire.looked");
	int r = link_wait(t->link, id, stirs, deadline);
	SYNC_POINT("acquire.heard");
	if (r == -EINTR && shield && sigint_kept_back() != kept_back)
		r = 0;
	if (r == -EAGAIN) {
		look_after_shields(t); /* also of other threads' requests */
		r = 0;
	}
	if (shield && sigint_is_cancelled(t, id))
		return -ECANCELED;
	return r < 0 ? r : outcome(t, id);
}

EXPORT int ttylock_acquire(
    struct ttylock *t, const struct ttylock_wish *wish, int timeout_ms, uint64_t *idp)
{
	int64_t deadline = deadline_in(timeout_ms);

	int r = ask(t, wish, -1, idp);
	if (r < 0)
		return r;
	uint64_t id = *idp;
	do
		r = wait_once(t, wish->shield, id, deadline);
	while (r > 0);
	if (wish->shield)
		sigint_settle(t, id);
	if (r < 0)
		ttylock_cancel(t, id);
	SYNC_POINT("acquire.done");
	return r;
}

EXPORT void ttylock_interrupt(struct ttylock *t)
{
	int error = errno;

	__atomic_store_n(&t->interrupted, 1, __ATOMIC_SEQ_CST);
	SYNC_POINT("interrupt.half");
	link_stir(t->link);
	errno = error;
}

/* --- ending --------------------------------------------------------------- */

static int end_request(struct ttylock *t, uint64_t id, int patience_ms)
{
	take_give_back(t, id);
	int r = link_end_request(t->link, t, id, DEADLINE_LATER(patience_ms));
	SYNC_POINT("request.ended-shielded");
	/* After it: the shield covers the request to its end. */
	sigint_unshield(t, id);
	return r;
}

EXPORT int ttylock_release(struct ttylock *t, uint64_t id)
{
	SYNC_POINT("release.begun");
	return end_request(t, id, RELEASE_MS);
}

EXPORT int ttylock_cancel(struct ttylock *t, uint64_t id)
{
	SYNC_POINT("cancel.begun");
	return end_request(t, id, 0);
}

/* --- Ctrl-C --------------------------------------------------------------- */

EXPORT int ttylock_shield(struct ttylock *t)
{
	struct shield *s;

	if (t->tty < 0)
		return -ENOTTY;
	return sigint_has(t, SHIELD_ALONE) ? -EALREADY : sigint_shield(t, NULL, -1, &s);
}

EXPORT int ttylock_unshield(struct ttylock *t)
{
	return sigint_unshield(t, SHIELD_ALONE);
}

/* --- hearing -------------------------------------------------------------- */

static int poll_descriptor(const struct ttylock *t)
{
	struct epoll_event link = {.events = EPOLLIN}, wake = {.events = EPOLLIN, .data.u32 = 1};
	int of_link = link_pollable(t->link);

	if (of_link < 0)
		return -1;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return -1;
	if (epoll_ctl(fd, EPOLL_CTL_ADD, of_link, &link) < 0 ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, t->wake, &wake) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

EXPORT int ttylock_fd(struct ttylock *t)
{
	if (!link_is_alive(t->link))
		return -1;
	pthread_mutex_lock(&t->lock);
	if (t->poll < 0)
		t->poll = poll_descriptor(t);
	int fd = t->poll;
	pthread_mutex_unlock(&t->lock);
	return fd;
}

EXPORT int ttylock_dispatch(struct ttylock *t, int timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);

	if (t->link->owner != process_id())
		return -ECONNRESET; /* and wake is the parent's, too */
	for (;;) {
		int r = link_drain(t->link);
		/* Behind it: our own news are no news any more. */
		bool woken = take(t->wake);
		if (r != 0 || woken) {
			look_after_shields(t);
			return r < 0 ? r : 1;
		}
		if (timeout_ms == 0)
			return 0;
		r = link_poll(t->link, t->wake, deadline);
		if (r < 0)
			return r == -ETIMEDOUT ? 0 : r;
	}
}

EXPORT int ttylock_get_status(struct ttylock *t, uint64_t id, struct ttylock_status *out)
{
	return link_status(t->link, t, id, out);
}

/* --- for the command ------------------------------------------------------ */

int lock_last(struct ttylock *t, uint64_t id, ttylock_LockStatus *out)
{
	return link_last(t->link, t, id, out);
}

int lock_save(struct ttylock *t, uint64_t id, const uint8_t *saved, size_t len)
{
	return link_save(t->link, t, id, saved, len);
}

int lock_watch(struct ttylock *t, void (*fn)(const ttylock_Event *event, void *arg), void *arg)
{
	return link_watch(t->link, fn, arg);
}
