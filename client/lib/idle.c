/* For parents that reap, time out or restart children: whether a person has one
 * of them under their hands. No handle is needed; without a daemon nobody has. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "deadline.h"
#include "export.h"
#include "greet.h"
#include "outage.h"
#include "ttylock.h"

#define ANSWER_MS 2000
#define RETRY_MS  20

/* Connects and sends the question: 0; 1: no daemon, so nothing is held. */
static int ask(struct channel *c, const ttylock_Envelope *question, int64_t deadline)
{
	struct addresses a;
	struct greeting g;

	int r = addresses_find(&a);
	if (r == 0)
		r = greet_any(c, &a, 0, &g, deadline);
	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return r;
	r = channel_send(c, question, -1, deadline);
	if (r < 0)
		channel_close(c);
	return r == -ECONNRESET ? 1 : r;
}

/* 0: it is so; 1: no daemon; -ECONNRESET: it went away. */
static int wait_once(int64_t deadline)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	struct channel c;

	e.which_body = ttylock_Envelope_wait_idle_tag;
	e.body.wait_idle.query = 1;
	e.body.wait_idle.below = getpid();
	int r = ask(&c, &e, deadline);
	if (r != 0)
		return r;
	do {
		r = channel_receive(&c, &e, deadline);
	} while (r > 0 && e.which_body != ttylock_Envelope_status_report_tag);
	channel_close(&c);
	return r == 0 ? -ETIMEDOUT : r < 0 ? r : 0;
}

EXPORT int ttylock_wait_idle(int timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms), back = 0;

	for (;;) {
		int r = wait_once(deadline);
		/* Nobody is the less at the terminal because the daemon went. */
		if (r == -ECONNRESET)
			back = deadline_in(OUTAGE_MS);
		else if (r <= 0 || deadline_left(back) == 0)
			return r < 0 ? r : 0;
		if (deadline_left(deadline) == 0)
			return -ETIMEDOUT;
		if (poll(NULL, 0, RETRY_MS) < 0)
			return -errno;
	}
}

static bool is_about(const ttylock_Entry *m, pid_t pid)
{
	return (m->subject_pid ? m->subject_pid : m->pid) == pid;
}

/* 1: it is; 0: it is not, or there is no daemon; -ECONNRESET: it went away. */
static int look(pid_t pid, int64_t deadline)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	const ttylock_StatusReport *m = &e.body.status_report;
	struct channel c;
	int found = 0;

	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = 1;
	e.body.status_query.below = pid;
	int r = ask(&c, &e, deadline);
	if (r != 0)
		return r < 0 ? r : 0;
	do {
		r = channel_receive(&c, &e, deadline);
		if (r > 0 && e.which_body != ttylock_Envelope_status_report_tag)
			r = -EPROTO;
		if (r > 0 && !m->last && is_about(&m->entry, pid))
			found = 1;
	} while (r > 0 && !m->last);
	channel_close(&c);
	return r == 0 ? -ETIMEDOUT : r < 0 ? r : found;
}

EXPORT int ttylock_in_debug(pid_t pid)
{
	int64_t deadline = deadline_in(ANSWER_MS);

	if (pid <= 0)
		return -EINVAL;
	for (;;) {
		int r = look(pid, deadline);
		if (r != -ECONNRESET)
			return r;
		if (deadline_left(deadline) == 0)
			return 0;
		if (poll(NULL, 0, RETRY_MS) < 0)
			return -errno;
	}
}
