#include "dump.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/procfs.h"
#include "json.h"
#include "requests.h"
#include "workers.h"

/* Why a process is not to be touched; NULL: it may be. */
static const char *spared(const struct forest_node *n, const struct requests *r)
{
	if (n->state == 'Z' || n->state == 'X')
		return "it has ended, and its parent has not asked for its status";
	if (n->tracer)
		return "in the debugger";
	if (n->debugs || requests_debugs(r, n->parent))
		return "it is the debugger of another one";
	if (requests_has_turn(r, n->pid))
		return "its debugger is about to attach";
	return NULL;
}

static json_t *process_of(const struct forest_node *n, const struct requests *r)
{
	char state[2] = {n->state}, comm[32];
	json_t *process = json_pack("{s:i, s:i, s:i, s:o, s:I, s:s, s:o}", "pid", (int)n->pid,
	    "ppid", (int)n->ppid, "depth", (int)n->depth, "comm", json_text(n->comm), "uid",
	    (json_int_t)n->uid, "state", state, "requests", requests_of(r, n->pid));
	const char *why = spared(n, r);

	if (n->tracer) {
		procfs_comm(n->tracer, comm);
		json_object_set_new(process, "tracer",
		    json_pack("{s:i, s:o}", "pid", (int)n->tracer, "comm", json_text(comm)));
	}
	if (why)
		json_object_set_new(process, "error", json_string(why));
	return process;
}

static json_t *now(void)
{
	struct timespec ts;
	struct tm tm;
	char text[64];

	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03ld", ts.tv_nsec / 1000000);
	return json_string(text);
}

static void look(json_t *processes, struct work *work, int timeout_ms)
{
	json_t *process;
	size_t i, count = 0;

	json_array_foreach(processes, i, process) if (!json_object_get(process, "error"))
	    work[count++]
		.pid = (pid_t)json_get_int(process, "pid");
	workers_run(work, count, timeout_ms);
	count = 0;
	json_array_foreach(processes, i, process) if (!json_object_get(process, "error"))
	    json_object_update_new(process, work[count++].result);
}

json_t *dump_take(const struct forest *f, int timeout_ms)
{
	struct requests r;
	struct work *work = calloc(f->count + 1, sizeof(*work));
	json_t *processes = json_array();

	if (!work || !processes) {
		free(work);
		json_decref(processes);
		return NULL;
	}
	requests_get(&r);
	json_t *all =
	    json_pack("{s:i, s:o, s:o}", "version", 1, "time", now(), "processes", processes);
	if (r.error)
		json_object_set_new(all, "daemon_error", json_text(r.error));
	for (size_t i = 0; i < f->count; i++)
		json_array_append_new(processes, process_of(&f->nodes[i], &r));
	look(processes, work, timeout_ms);
	requests_deinit(&r);
	free(work);
	return all;
}
