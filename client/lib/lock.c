#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "deadline.h"
#include "launch.h"
#include "terminal.h"

#define EXPORT		__attribute__((visibility("default")))
#define OPEN_TIMEOUT_MS 5000
#define SEND_TIMEOUT_MS 5000
/* Each message says by number which of a connection's terminals it means; a
 * handle has one. */
#define TERMINAL 0

static int send_frame(struct ttylock *t, const ttylock_Envelope *e, int passed)
{
	if (t->channel.fd < 0 || t->owner != getpid())
		return -ECONNRESET;
	return channel_send(&t->channel, e, passed, deadline_in(SEND_TIMEOUT_MS));
}

/* --- opening -------------------------------------------------------------- */

static uint64_t tree_of_environment(void)
{
	const char *tree = secure_getenv("TTYLOCK_TREE");

	return tree ? strtoull(tree, NULL, 16) : 0;
}

/* Connects and greets. -EAGAIN: the daemon went away while we came; the next
 * try finds another, or none. */
static int greet(struct ttylock *t, const char *path, int64_t deadline)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	int r = channel_connect(&t->channel, path, deadline);
	if (r < 0)
		return r;
	e.which_body = ttylock_Envelope_hello_tag;
	e.body.hello.version = 1;
	e.body.hello.tree = tree_of_environment();
	r = send_frame(t, &e, -1);
	if (r == 0)
		r = channel_receive(&t->channel, &e, deadline);
	if (r == 0)
		r = -ETIMEDOUT;
	if (r > 0) {
		if (e.which_body == ttylock_Envelope_welcome_tag && e.body.welcome.version == 1) {
			t->daemon_pid = e.body.welcome.daemon_pid;
			t->uptime_ms = e.body.welcome.uptime_ms;
			snprintf(t->socket, sizeof(t->socket), "%s", path);
			return 0;
		}
		r = e.which_body == ttylock_Envelope_error_tag ? request_errno(e.body.error.code)
		    : e.which_body == ttylock_Envelope_welcome_tag ? -EPROTONOSUPPORT
								   : -EPROTO;
	}
	channel_close(&t->channel);
	return r == -ECONNRESET ? -EAGAIN : r;
}

static bool is_absent(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR;
}

static int connect_daemon(struct ttylock *t, unsigned flags)
{
	int64_t deadline = deadline_in(OPEN_TIMEOUT_MS);
	struct addresses a;

	int r = addresses_find(&a);
	while (r == 0) {
		size_t i = 0;
		do {
			r = greet(t, a.path[i], deadline);
		} while (is_absent(r) && ++i < a.count);
		if (is_absent(r) && (flags & TTYLOCK_START))
			r = launch_daemon(a.path[a.count - 1], deadline) ?: -EAGAIN;
		else if (is_absent(r))
			r = -ENOENT;
		if (r != -EAGAIN)
			return r;
		r = deadline_left(deadline) > 0 ? 0 : -ETIMEDOUT;
		if (r == 0 && (flags & TTYLOCK_START) == 0)
			usleep(1000);
	}
	return r;
}

static int pass_terminal(struct ttylock *t)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_terminal_open_tag;
	e.body.terminal_open.terminal = TERMINAL;
	return send_frame(t, &e, t->tty);
}

static int open_terminal(int given)
{
	if (given == -1)
		return terminal_open();
	if (!isatty(given))
		return -ENOTTY;
	if ((fcntl(given, F_GETFL) & O_ACCMODE) != O_RDWR)
		return -EACCES;
	int fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

EXPORT int ttylock_open(struct ttylock **outp, int tty, unsigned flags)
{
	struct ttylock *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return -ENOMEM;
	t->owner = getpid();
	t->channel.fd = -1;
	t->tty = -1;
	if (tty != TTYLOCK_NO_TERMINAL) {
		r = open_terminal(tty);
		if (r >= 0)
			t->tty = r;
	}
	if (r >= 0)
		r = connect_daemon(t, flags);
	if (r == 0 && t->tty >= 0)
		r = pass_terminal(t);
	if (r < 0) {
		ttylock_close(t);
		return r;
	}
	*outp = t;
	return 0;
}

EXPORT void ttylock_close(struct ttylock *t)
{
	if (!t)
		return;
	channel_close(&t->channel);
	requests_clear(&t->requests);
	if (t->tty >= 0)
		close(t->tty);
	free(t);
}

EXPORT int ttylock_fd(const struct ttylock *t)
{
	return t->channel.fd;
}

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

static int fill_wish(ttylock_LockRequest *m, const struct ttylock_wish *wish)
{
	m->terminal = TERMINAL;
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
	return 0;
}

EXPORT int ttylock_acquire_async(struct ttylock *t, const struct ttylock_wish *wish, uint64_t *idp)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_lock_request_tag;
	int r = fill_wish(&e.body.lock_request, wish);
	if (r < 0)
		return r;
	struct request *q = requests_add(&t->requests);
	if (!q)
		return -ENOMEM;
	e.body.lock_request.request = q->id;
	r = send_frame(t, &e, -1);
	if (r < 0) {
		requests_remove(&t->requests, q->id);
		return r;
	}
	*idp = q->id;
	return 0;
}

/* What acquire returns for a request that waits no more; 1: it still does. */
static int outcome(const struct request *q)
{
	switch (q->state) {
	case TTYLOCK_GRANTED:
		return 0;
	case TTYLOCK_QUEUED:
		return 1;
	case TTYLOCK_REFUSED:
		return q->error ? q->error : -EPROTO;
	case TTYLOCK_LOST:
		return -ECONNRESET;
	default:
		return -ECANCELED;
	}
}

EXPORT int ttylock_acquire(
    struct ttylock *t, const struct ttylock_wish *wish, int timeout_ms, uint64_t *idp)
{
	int64_t deadline = deadline_in(timeout_ms);
	uint64_t id;

	int r = ttylock_acquire_async(t, wish, &id);
	if (r < 0)
		return r;
	for (;;) {
		r = outcome(requests_find(&t->requests, id));
		if (r <= 0)
			break;
		r = ttylock_dispatch(t, deadline_left(deadline));
		if (r == 0)
			r = -ETIMEDOUT;
		if (r < 0)
			break;
	}
	if (r < 0)
		ttylock_cancel(t, id);
	else
		*idp = id;
	return r;
}

static int end_request(struct ttylock *t, uint64_t id, const ttylock_Envelope *e)
{
	struct request *q = requests_find(&t->requests, id);

	if (!q)
		return -ENOENT;
	bool lives = q->state == TTYLOCK_QUEUED || q->state == TTYLOCK_GRANTED;
	int r = lives ? send_frame(t, e, -1) : q->state == TTYLOCK_LOST ? -ECONNRESET : 0;
	requests_remove(&t->requests, id);
	return r;
}

EXPORT int ttylock_release(struct ttylock *t, uint64_t id)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_lock_release_tag;
	e.body.lock_release.request = id;
	return end_request(t, id, &e);
}

EXPORT int ttylock_cancel(struct ttylock *t, uint64_t id)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_lock_cancel_tag;
	e.body.lock_cancel.request = id;
	return end_request(t, id, &e);
}

int lock_save(struct ttylock *t, uint64_t id, const uint8_t *saved, size_t len)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	ttylock_TerminalState *m = &e.body.terminal_state;

	if (len > sizeof(m->saved.bytes))
		return -EINVAL;
	e.which_body = ttylock_Envelope_terminal_state_tag;
	m->request = id;
	m->saved.size = (pb_size_t)len;
	memcpy(m->saved.bytes, saved, len);
	return send_frame(t, &e, -1);
}

int lock_watch(struct ttylock *t, void (*fn)(const ttylock_Event *event, void *arg), void *arg)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	t->on_event = fn;
	t->on_event_arg = arg;
	e.which_body = ttylock_Envelope_watch_tag;
	return send_frame(t, &e, -1);
}

/* --- hearing -------------------------------------------------------------- */

static void take_error(struct ttylock *t, const ttylock_Error *m)
{
	/* A terminal that is refused is answered before the requests for it. */
	for (struct request *q = t->requests.first; q; q = q->next) {
		if (m->ref != 0 && q->id != m->ref)
			continue;
		if (q->state == TTYLOCK_QUEUED) {
			q->state = TTYLOCK_REFUSED;
			q->error = request_errno(m->code);
		}
	}
}

static void take_frame(struct ttylock *t, const ttylock_Envelope *e)
{
	switch (e->which_body) {
	case ttylock_Envelope_lock_status_tag:
		requests_update(&t->requests, &e->body.lock_status);
		break;
	case ttylock_Envelope_error_tag:
		take_error(t, &e->body.error);
		break;
	case ttylock_Envelope_event_tag:
		if (t->on_event)
			t->on_event(&e->body.event, t->on_event_arg);
		break;
	default: /* an answer that nobody waits for any more */
		break;
	}
}

static int fail(struct ttylock *t, int r)
{
	if (r == -ECONNRESET || r == -EPROTO) {
		channel_close(&t->channel);
		requests_lose(&t->requests);
	}
	return r;
}

EXPORT int ttylock_dispatch(struct ttylock *t, int timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	ttylock_Envelope e;
	int taken = 0;

	if (t->channel.fd < 0 || t->owner != getpid())
		return -ECONNRESET;
	for (;;) {
		int r = channel_receive(&t->channel, &e, taken ? 0 : deadline);
		if (r == 0 || (r < 0 && taken))
			return taken;
		if (r < 0)
			return fail(t, r);
		take_frame(t, &e);
		taken = 1;
	}
}

const ttylock_LockStatus *lock_last(const struct ttylock *t, uint64_t id)
{
	const struct request *q = requests_find(&t->requests, id);

	return q ? &q->last : NULL;
}

EXPORT int ttylock_get_status(struct ttylock *t, uint64_t id, struct ttylock_status *out)
{
	const struct request *q = requests_find(&t->requests, id);

	if (!q)
		return -ENOENT;
	*out = (struct ttylock_status){
	    .state = q->state,
	    .error = q->error,
	    .id = q->last.id,
	    .position = q->last.position,
	    .waiters = q->last.waiters,
	    .holder_pid = q->last.holder.pid,
	    .holder_comm = q->last.holder.comm,
	    .holder_text = q->last.holder.text,
	};
	return 0;
}

static struct ttylock_entry entry_of(const ttylock_Entry *m)
{
	return (struct ttylock_entry){
	    .id = m->id,
	    .pid = m->pid,
	    .uid = m->uid,
	    .comm = m->comm,
	    .task_name = m->task.name,
	    .task_id = m->task.id,
	    .reason = (enum ttylock_reason)m->reason,
	    .text = m->text,
	    .subject = m->subject_pid,
	    .subject_comm = m->subject_comm,
	    .position = m->position,
	    .age_ms = m->age_ms,
	    .tree = m->tree,
	    .terminal = m->terminal,
	    .hidden = m->hidden,
	};
}

EXPORT int ttylock_list(struct ttylock *t, int timeout_ms,
    int (*fn)(const struct ttylock_entry *entry, void *arg), void *arg)
{
	int64_t deadline = deadline_in(timeout_ms);
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	const ttylock_StatusReport *m = &e.body.status_report;
	int r, result = 0;

	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = ++t->queries;
	r = send_frame(t, &e, -1);
	while (r == 0) {
		r = channel_receive(&t->channel, &e, deadline);
		if (r <= 0)
			return r == 0 ? -ETIMEDOUT : fail(t, r);
		r = 0;
		if (e.which_body != ttylock_Envelope_status_report_tag || m->query != t->queries) {
			take_frame(t, &e);
		} else if (m->last) {
			return result;
		} else if (result == 0) {
			/* After fn has ended it, the rest is only drained. */
			struct ttylock_entry entry = entry_of(&m->entry);
			result = fn(&entry, arg);
		}
	}
	return r;
}
