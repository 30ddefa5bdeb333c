/* A link whose daemon has gone: connects to the next one, and tells it what there
 * is. Done by whichever thread is in the library when it is time, with the link's
 * lock held, so that no fork() comes in between; no thread is made for it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "deadline.h"
#include "launch.h"
#include "link_locked.h"
#include "sync_point.h"

/* Not from a generator that the host program may have seeded. */
static uint32_t chance(void)
{
	return arc4random();
}

/* --- what the next daemon is told ----------------------------------------- */

/* Frames, some to a write. */
struct letter {
	struct channel *channel;
	int64_t deadline;
	size_t len;
	uint8_t buf[16 * FRAME_MAX];
	int error;
};

static void letter_send(struct letter *m, int passed)
{
	while (m->len && m->error == 0) {
		m->error = channel_send_bytes(m->channel, m->buf, m->len, passed, m->deadline);
		if (m->error == -EINTR) /* nothing of it has been sent */
			m->error = 0;
		else
			m->len = 0;
	}
}

static void letter_add(struct letter *m, const ttylock_Envelope *e)
{
	ssize_t n = frame_encode(e, m->buf + m->len, sizeof(m->buf) - m->len);

	if (n < 0)
		m->error = (int)n;
	else
		m->len += (size_t)n;
}

/* Those that follow each other belong into one write. */
static void letter_want(struct letter *m, unsigned frames)
{
	if (m->len + frames * FRAME_MAX > sizeof(m->buf))
		letter_send(m, -1);
}

static void tell_terminals(struct letter *m, const struct link *l)
{
	for (int i = 0; i < LINK_TERMINALS; i++) {
		ttylock_Envelope e = ttylock_Envelope_init_zero;

		if (l->terminals[i].tty < 0)
			continue;
		e.which_body = ttylock_Envelope_terminal_open_tag;
		e.body.terminal_open.terminal = (uint32_t)i;
		letter_add(m, &e);
		letter_send(m, l->terminals[i].tty);
	}
}

/* What is over is asked for all the same, and ended in the same breath: else the
 * daemon would keep the terminal for us. Where it has no token, for it was not
 * answered, the daemon may have it on record, or not: then nothing shall wait. */
static void tell_end(struct letter *m, struct link *l, struct request *q)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	link_number(l, q, &e);
	q->reclaiming = false;
	q->owed_at = q->number;
	e.body.lock_request.nonblock = true;
	letter_add(m, &e);
	link_end(q, &e);
	letter_add(m, &e);
}

static void tell_request(struct letter *m, struct link *l, struct request *q)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	link_number(l, q, &e);
	letter_add(m, &e);
	if (q->state != TTYLOCK_GRANTED || !q->saved.saved.size)
		return;
	e = (ttylock_Envelope)ttylock_Envelope_init_zero;
	e.which_body = ttylock_Envelope_terminal_state_tag;
	e.body.terminal_state = q->saved;
	e.body.terminal_state.request = q->number;
	letter_add(m, &e);
}

static int introduce(struct link *l)
{
	struct letter m = {.channel = &l->channel, .deadline = deadline_in(LINK_SEND_MS)};
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_hello_tag;
	e.body.hello.version = 1;
	e.body.hello.tree = l->tree;
	letter_add(&m, &e);
	letter_send(&m, -1);
	tell_terminals(&m, l);
	if (l->on_event) {
		e = (ttylock_Envelope)ttylock_Envelope_init_zero;
		e.which_body = ttylock_Envelope_watch_tag;
		letter_add(&m, &e);
	}
	for (struct request *q = l->requests.first; q && m.error == 0; q = q->next) {
		letter_want(&m, 2);
		if (q->owed)
			tell_end(&m, l, q);
		else if (q->handle && request_is_live(q))
			tell_request(&m, l, q);
	}
	letter_send(&m, -1);
	return m.error;
}

/* --- down, up, lost ------------------------------------------------------- */

static void set_down(struct link *l)
{
	pollable_drop(&l->pollable, l->channel.fd);
	__atomic_store_n(&l->down, true, __ATOMIC_RELEASE);
	/* Whoever polls it looks again. */
	shutdown(l->channel.fd, SHUT_RDWR);
}

void link_lose(struct link *l)
{
	if (l->lost)
		return;
	set_down(l);
	__atomic_store_n(&l->lost, true, __ATOMIC_RELEASE);
	requests_lose(&l->requests);
	pollable_at(&l->pollable, 1); /* long ago: it is to be seen by all */
	link_tell(l, NULL);
}

void link_break(struct link *l)
{
	int64_t now = clock_ms();
	bool comes_back = true;

	if (l->down)
		return;
	set_down(l);
	l->made = (struct timespec){0};
	link_hear_last(l);
	SYNC_POINT("link.broken");
	if (l->welcomed)
		outage_begin(&l->outage, now, chance());
	else
		comes_back = outage_failed(&l->outage, now, -ECONNRESET, chance());
	if (!comes_back) {
		link_lose(l);
		return;
	}
	pollable_at(&l->pollable, l->outage.next);
	link_tell(l, NULL);
}

static int connect_anew(struct link *l)
{
	SYNC_POINT("link.mending");
	int r = channel_reconnect(&l->channel, l->socket);
	if (r < 0)
		return r;
	__atomic_store_n(&l->welcomed, false, __ATOMIC_RELEASE);
	r = introduce(l);
	if (r < 0) {
		shutdown(l->channel.fd, SHUT_RDWR);
		return r;
	}
	__atomic_store_n(&l->down, false, __ATOMIC_RELEASE);
	__atomic_store_n(&l->lost, false, __ATOMIC_RELEASE);
	pollable_at(&l->pollable, 0);
	pollable_watch(&l->pollable, l->channel.fd);
	link_tell(l, NULL);
	return 0;
}

/* Whether it listens is found out by connecting, like everything else: this waits
 * for nothing. */
static void launch(struct link *l)
{
	struct addresses where = l->where;

	l->launching = true;
	atfork_unlock(&l->lock);
	launch_daemon(&where, clock_ms());
	atfork_lock(&l->lock);
	l->launching = false;
}

/* Since the last look a daemon has been there and has gone: each makes the socket anew. */
static bool was_served(struct link *l)
{
	struct timespec last = l->made;
	struct stat st;

	if (stat(l->socket, &st) < 0)
		return false;
	l->made = st.st_ctim;
	return last.tv_sec && (last.tv_sec != l->made.tv_sec || last.tv_nsec != l->made.tv_nsec);
}

static void fail(struct link *l, int error)
{
	int64_t now = clock_ms();

	/* As good as one that let us in and died: somebody sees to it that there are
	 * daemons. */
	if (was_served(l))
		error = -ECONNRESET;
	if (!outage_failed(&l->outage, now, error, chance())) {
		link_lose(l);
		return;
	}
	if (l->starts && !l->launching && outage_launches(&l->outage, now))
		launch(l);
	if (l->down && !l->lost)
		pollable_at(&l->pollable, l->outage.next);
}

void link_mend(struct link *l)
{
	if (!l->down || l->lost)
		return;
	int64_t now = clock_ms();
	if (!outage_is_due(&l->outage, now))
		return;
	outage_try(&l->outage, now);
	int r = connect_anew(l);
	if (r < 0)
		fail(l, r);
}

bool link_mend_now(struct link *l)
{
	if (!l->down)
		link_hear(l);
	if (!l->down)
		return true;
	if (connect_anew(l) < 0)
		return false;
	if (!l->outage.tries)
		outage_try(&l->outage, clock_ms());
	return true;
}

int64_t link_mend_before(const struct link *l, int64_t deadline)
{
	if (!l->down || l->lost)
		return deadline;
	return deadline < 0 || l->outage.next < deadline ? l->outage.next : deadline;
}
