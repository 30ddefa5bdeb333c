/* What the daemon knows of everybody's requests. Each question has a
 * connection of its own, so that its long answer is in nobody's way. */
#include <errno.h>

#include "deadline.h"
#include "export.h"
#include "handle.h"

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

static int take_reports(struct channel *c, int64_t deadline,
    int (*fn)(const struct ttylock_entry *entry, void *arg), void *arg)
{
	ttylock_Envelope e;

	for (;;) {
		int r = channel_receive(c, &e, deadline);
		if (r <= 0)
			return r == 0 ? -ETIMEDOUT : r;
		if (e.which_body != ttylock_Envelope_status_report_tag)
			return -EPROTO;
		if (e.body.status_report.last)
			return 0;
		struct ttylock_entry entry = entry_of(&e.body.status_report.entry);
		r = fn(&entry, arg);
		if (r != 0)
			return r;
	}
}

EXPORT int ttylock_list(struct ttylock *t, int timeout_ms,
    int (*fn)(const struct ttylock_entry *entry, void *arg), void *arg)
{
	int64_t deadline = deadline_in(timeout_ms);
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	struct channel c;

	int r = link_connect_beside(t->link, &c, deadline);
	if (r < 0)
		return r;
	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = 1;
	r = channel_send(&c, &e, -1, deadline);
	if (r == 0)
		r = take_reports(&c, deadline, fn, arg);
	channel_close(&c);
	return r;
}
