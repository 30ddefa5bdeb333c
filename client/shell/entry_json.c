#include "entry_json.h"

#include <string.h>
#include <time.h>

#include "../dump/json.h"
#include "../dump/requests.h"
#include "columns.h"

static json_t *json_request(const ttylock_Entry *e)
{
	if (e->hidden)
		return json_pack("{s:b, s:i}", "hidden", 1, "position", (int)e->position);
	json_t *request = json_pack(
	    "{s:I, s:i, s:I, s:o, s:{s:o, s:I}, s:s, s:o, s:i, s:o, s:i, s:f}", "id",
	    (json_int_t)e->id, "pid", (int)e->pid, "uid", (json_int_t)e->uid, "comm",
	    json_text(e->comm), "task", "name", json_text(e->task.name), "id",
	    (json_int_t)e->task.id, "reason", reason_name(e->reason), "text", json_text(e->text),
	    "subject_pid", (int)e->subject_pid, "subject_comm", json_text(e->subject_comm),
	    "position", (int)e->position, "age_s", (double)e->age_ms / 1000);
	if (e->under)
		json_object_set_new(request, "under", json_integer((json_int_t)e->under));
	if (entry_is_stopped(e))
		json_object_set_new(request, "stopped", json_true());
	return request;
}

static json_t *terminal_of(json_t *terminals, const char *path)
{
	json_t *last = json_array_get(terminals, json_array_size(terminals) - 1);

	if (last && !strcmp(json_get_text(last, "terminal"), path))
		return last;
	last = json_pack(
	    "{s:o, s:n, s:[], s:[]}", "terminal", json_text(path), "holder", "below", "waiters");
	json_array_append_new(terminals, last);
	return last;
}

static void add(json_t *terminals, const struct listing_row *row)
{
	json_t *terminal = terminal_of(terminals, row->entry.terminal);
	json_t *request = json_request(&row->entry);

	if (row->entry.position)
		json_array_append_new(json_object_get(terminal, "waiters"), request);
	else if (row->below)
		json_array_append_new(json_object_get(terminal, "below"), request);
	else
		json_object_set_new(terminal, "holder", request);
}

json_t *json_of_listing(const struct greeting *daemon, const struct listing *l)
{
	json_t *terminals = json_array(), *who = json_null();

	for (size_t i = 0; i < l->count; i++)
		add(terminals, &l->rows[i]);
	if (daemon)
		who = json_pack("{s:i, s:o, s:f}", "pid", (int)daemon->welcome.daemon_pid, "socket",
		    json_text(daemon->socket), "uptime_s",
		    (double)daemon->welcome.uptime_ms / 1000);
	return json_pack("{s:i, s:o, s:o}", "version", 1, "daemon", who, "terminals", terminals);
}

json_t *json_of_event(const char *name, const ttylock_Event *e)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	json_t *event = json_pack("{s:s, s:f}", "event", name, "time",
	    (double)ts.tv_sec + (double)(ts.tv_nsec / 1000000) / 1000);
	if (e && e->has_entry) {
		json_object_set_new(event, "terminal", json_text(e->entry.terminal));
		json_object_set_new(event, "request", json_request(&e->entry));
	}
	if (e && *e->by)
		json_object_set_new(event, "by", json_text(e->by));
	return event;
}
