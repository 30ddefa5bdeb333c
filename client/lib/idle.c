/* For parents that reap, time out or restart children: whether a person has one
 * of them under their hands. No handle is needed; without a daemon nobody has. */
#include <errno.h>
#include <unistd.h>

#include "deadline.h"
#include "export.h"
#include "greet.h"
#include "ttylock.h"

#define ANSWER_MS 2000

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

EXPORT int ttylock_wait_idle(int timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	struct channel c;

	e.which_body = ttylock_Envelope_wait_idle_tag;
	e.body.wait_idle.query = 1;
	e.body.wait_idle.below = getpid();
	int r = ask(&c, &e, deadline);
	if (r != 0)
		return r < 0 ? r : 0;
	do {
		r = channel_receive(&c, &e, deadline);
	} while (r > 0 && e.which_body != ttylock_Envelope_status_report_tag);
	channel_close(&c);
	if (r == 0)
		return -ETIMEDOUT;
	return r < 0 && r != -ECONNRESET ? r : 0;
}

static bool is_about(const ttylock_Entry *m, pid_t pid)
{
	return (m->subject_pid ? m->subject_pid : m->pid) == pid;
}

EXPORT int ttylock_in_debug(pid_t pid)
{
	int64_t deadline = deadline_in(ANSWER_MS);
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	struct channel c;
	int found = 0;

	if (pid <= 0)
		return -EINVAL;
	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = 1;
	e.body.status_query.below = pid;
	int r = ask(&c, &e, deadline);
	if (r != 0)
		return r < 0 ? r : 0;
	do {
		r = channel_receive(&c, &e, deadline);
		const ttylock_StatusReport *m = &e.body.status_report;
		if (r > 0 && e.which_body != ttylock_Envelope_status_report_tag)
			r = -EPROTO;
		if (r > 0 && !m->last && is_about(&m->entry, pid))
			found = 1;
	} while (r > 0 && !e.body.status_report.last);
	channel_close(&c);
	if (r == 0)
		return -ETIMEDOUT;
	return r < 0 && r != -ECONNRESET ? r : found;
}
