#include "requests.h"

#include <errno.h>
#include <string.h>

#include "../include/ttylock.h"
#include "json.h"

#define DAEMON_MS 2000

const char *reason_name(int reason)
{
	switch (reason) {
	case TTYLOCK_BREAKPOINT:
		return "breakpoint";
	case TTYLOCK_CRASH:
		return "crash";
	default:
		return "command";
	}
}

/* Holders come before their waiters. */
static json_t *holder_of(const json_t *all, const char *terminal)
{
	json_t *request;
	size_t i;

	json_array_foreach(all, i,
	    request) if (!strcmp(json_get_text(request, "terminal"), terminal)) return request;
	return NULL;
}

static int add(const struct ttylock_entry *e, void *arg)
{
	struct requests *r = arg;
	json_t *request = json_pack("{s:s, s:i, s:o}", "state", e->position ? "waits" : "holds",
	    "position", (int)e->position, "terminal", json_text(e->terminal));
	json_t *holder = e->position ? holder_of(r->all, e->terminal) : NULL;

	if (holder && json_object_get(holder, "pid"))
		json_object_set_new(request, "holder",
		    json_pack("{s:O, s:O}", "pid", json_object_get(holder, "subject_pid"), "comm",
			json_object_get(holder, "comm")));
	if (!e->hidden) {
		pid_t subject = e->subject ? e->subject : e->pid;
		json_object_update_new(request,
		    json_pack("{s:s, s:o, s:i, s:i, s:o}", "reason", reason_name(e->reason), "text",
			json_text(e->text), "pid", (int)e->pid, "subject_pid", (int)subject, "comm",
			json_text(e->subject ? e->subject_comm : e->comm)));
	}
	json_array_append_new(r->all, request);
	return 0;
}

void requests_get(struct requests *r)
{
	struct ttylock *t = NULL;

	*r = (struct requests){.all = json_array()};
	int error = ttylock_open(&t, TTYLOCK_NO_TERMINAL, 0);
	if (error == 0)
		error = ttylock_list(t, DAEMON_MS, add, r);
	ttylock_close(t);
	if (error < 0 && error != -ENOENT)
		r->error = error == -ETIMEDOUT ? "the daemon does not answer" : strerror(-error);
}

json_t *requests_of(const struct requests *r, pid_t pid)
{
	json_t *mine = json_array(), *request;
	size_t i;

	json_array_foreach(r->all, i, request) if (json_get_int(request, "pid") == pid ||
						   json_get_int(request, "subject_pid") == pid)
	    json_array_append(mine, request);
	return mine;
}

bool requests_has_turn(const struct requests *r, pid_t pid)
{
	json_t *request;
	size_t i;

	json_array_foreach(r->all, i, request) if (json_get_int(request, "position") == 0 &&
						   json_get_int(request, "subject_pid") == pid &&
						   json_get_int(request, "pid") != pid) return true;
	return false;
}

bool requests_debugs(const struct requests *r, pid_t pid)
{
	json_t *request;
	size_t i;

	json_array_foreach(
	    r->all, i, request) if (json_get_int(request, "pid") == pid &&
				    json_get_int(request, "subject_pid") != pid) return true;
	return false;
}

void requests_deinit(struct requests *r)
{
	json_decref(r->all);
}
