#include "process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/deadline.h"
#include "../lib/procfs.h"
#include "json.h"
#include "symbol.h"
#include "unwind.h"

/* --- frames ----------------------------------------------------------------- */

struct frames {
	json_t *array;
	bool interrupted; /* the next one, by the signal whose handler was called here */
	size_t number;	  /* of the next one */
	Dwarf_Addr pc;
};

static void set_hex(json_t *object, const char *name, uint64_t value)
{
	char hex[32];

	snprintf(hex, sizeof(hex), "0x%" PRIx64, value);
	json_object_set_new(object, name, json_string(hex));
}

static void add_frame(const struct symbol *s, void *arg)
{
	struct frames *f = arg;
	json_t *frame = json_object();

	f->interrupted = s->signal;
	json_object_set_new(frame, "n", json_integer((json_int_t)f->number++));
	set_hex(frame, "pc", f->pc);
	if (s->function)
		json_object_set_new(frame, "function", json_text(s->function));
	if (s->file) {
		json_object_set_new(frame, "file", json_text(s->file));
		json_object_set_new(frame, "line", json_integer(s->line));
	}
	if (s->module)
		json_object_set_new(frame, "module", json_text(s->module));
	set_hex(frame, "offset", s->offset);
	if (s->inlined)
		json_object_set_new(frame, "inlined", json_true());
	json_array_append_new(f->array, frame);
}

static json_t *frames_of(const struct unwind *u, const struct unwound_thread *t, bool lines)
{
	struct frames f = {.array = json_array()};
	size_t inlined = 0, number;

	for (size_t n = 0; n < unwind_kept(t); n++) {
		const struct unwound_frame *frame = unwind_frame(t, n, &number);
		/* gdb gives inlined functions numbers of their own. */
		f.number = number + inlined;
		f.pc = frame->pc;
		symbol_find(
		    u->dwfl, frame->pc, frame->exact || f.interrupted, lines, add_frame, &f);
		inlined = f.number - number - 1;
	}
	return f.array;
}

/* --- threads ---------------------------------------------------------------- */

static json_t *thread_of(
    const struct unwind *u, const struct unwound_thread *t, const struct stopped_thread *s)
{
	char state[2] = {s->state};
	/* Lines may take long to find, in a large program; names do not. */
	bool lines = deadline_left(u->deadline) > 0;
	json_t *thread = json_pack("{s:i, s:o, s:s, s:o, s:I, s:o}", "tid", (int)t->tid, "name",
	    json_text(s->name), "state", state, "wchan", json_text(s->wchan), "depth",
	    (json_int_t)t->count, "frames", frames_of(u, t, lines));

	if (t->guessed)
		json_object_set_new(thread, "guessed", json_true());
	if (t->error)
		json_object_set_new(thread, "error", json_text(t->error));
	return thread;
}

static json_t *error_of(const char *why)
{
	return json_pack("{s:o}", "error", json_text(why));
}

static json_t *refusal(pid_t pid, int error)
{
	char why[128], comm[32];
	pid_t tracer = procfs_tracer(pid);

	if (tracer > 0 && tracer != getpid()) {
		procfs_comm(tracer, comm);
		snprintf(why, sizeof(why), "traced by %s (pid %d)", comm, (int)tracer);
		return error_of(why);
	}
	switch (error) {
	case -ESRCH:
	case -ENOENT:
		return error_of("it has ended");
	case -EPERM:
	case -EACCES:
		return error_of("ptrace is not permitted (another user's, or it forbids that)");
	case -EIO:
		return error_of("its memory map cannot be read");
	default:
		return error_of(strerror(-error));
	}
}

json_t *process_dump(pid_t pid, int64_t deadline)
{
	struct stop stop;
	struct unwind u = {0};
	json_t *all = NULL;
	/* What is not stopped by then is dumped as it is; and the addresses must
	 * leave time for their names. */
	int64_t now = clock_ms(), third = (deadline - now) / 3;

	int r = stop_process(&stop, pid, now + third);
	if (r == 0)
		r = unwind_open(&u, &stop, now + 2 * third);
	if (r == 0)
		r = unwind_threads(&u);
	stop_release(&stop);
	u.deadline = deadline - third / 3;
	if (r == 0) {
		json_t *threads = json_array();
		for (size_t i = 0; i < u.count; i++)
			json_array_append_new(
			    threads, thread_of(&u, &u.threads[i], &stop.threads[i]));
		all = json_pack("{s:o}", "threads", threads);
		if (stop.left_out)
			json_object_set_new(
			    all, "threads_left_out", json_integer((json_int_t)stop.left_out));
	}
	unwind_close(&u);
	stop_deinit(&stop);
	return all ? all : refusal(pid, r);
}
