#include "text.h"

#include <stdbool.h>
#include <string.h>

#include "json.h"

/* A chain of processes that is longer is drawn no further to the right. */
#define DEPTH_MAX   32
#define MARGIN_SIZE (4 * DEPTH_MAX + 1)

/* --- words ------------------------------------------------------------------ */

/* Names come out of other people's programs: they must not steer a terminal. */
static void put(FILE *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
		fputc(*p < 0x20 || *p == 0x7f || c1 ? '?' : *p, out);
		p += c1;
	}
}

static const char *state_word(const char *state)
{
	switch (*state) {
	case 'R':
		return "running";
	case 'S':
	case 'I':
		return "sleeping";
	case 'D':
		return "in uninterruptible sleep";
	case 'T':
		return "stopped";
	case 't':
		return "stopped by a debugger";
	case 'Z':
	case 'X':
		return "ended";
	default:
		return "in an unknown state";
	}
}

static void put_person(FILE *out, const json_t *who)
{
	put(out, json_get_text(who, "comm"));
	fprintf(out, " (pid %d)", (int)json_get_int(who, "pid"));
}

/* --- one process ------------------------------------------------------------ */

static void put_request(FILE *out, const json_t *r)
{
	const json_t *holder = json_object_get(r, "holder");

	if (json_get_int(r, "position") == 0) {
		fputs("HOLDS ", out);
		put(out, json_get_text(r, "terminal"));
	} else {
		fprintf(out, "WAITS at position %d for ", (int)json_get_int(r, "position"));
		put(out, json_get_text(r, "terminal"));
	}
	fputs(": ", out);
	put(out, json_get_text(r, "reason"));
	if (*json_get_text(r, "text"))
		fputs(": ", out);
	put(out, json_get_text(r, "text"));
	if (holder) {
		fputs("; held for ", out);
		put_person(out, holder);
	}
}

static void put_frame(FILE *out, const json_t *f)
{
	unsigned long long pc = 0;

	sscanf(json_get_text(f, "pc"), "%llx", &pc);
	fprintf(out, "    #%-3d 0x%016llx in ", (int)json_get_int(f, "n"), pc);
	put(out, json_object_get(f, "function") ? json_get_text(f, "function") : "??");
	if (json_object_get(f, "file")) {
		fputs(" at ", out);
		put(out, json_get_text(f, "file"));
		fprintf(out, ":%d", (int)json_get_int(f, "line"));
	}
	if (json_object_get(f, "inlined"))
		fputs(" (inlined)", out);
	if (json_object_get(f, "module")) {
		fputs(" [", out);
		put(out, json_get_text(f, "module"));
		fputc('+', out);
		put(out, json_get_text(f, "offset"));
		fputc(']', out);
	}
	fputc('\n', out);
}

static void put_thread(FILE *out, const json_t *t, const char *margin)
{
	const char *wchan = json_get_text(t, "wchan"), *error = json_get_text(t, "error");
	json_t *frame;
	size_t i;
	json_int_t next = 0;

	fprintf(out, "%s  thread %d (", margin, (int)json_get_int(t, "tid"));
	put(out, json_get_text(t, "name"));
	fprintf(out, "), %s", state_word(json_get_text(t, "state")));
	if (*wchan) {
		fputs(" in ", out);
		put(out, wchan);
	}
	if (json_object_get(t, "guessed"))
		fputs("; it does not stop: what is known without", out);
	fputc('\n', out);
	json_array_foreach(json_object_get(t, "frames"), i, frame)
	{
		json_int_t n = json_get_int(frame, "n");
		if (n > next)
			fprintf(out, "%s    ... %lld frames left out ...\n", margin,
			    (long long)(n - next));
		next = n + 1;
		fputs(margin, out);
		put_frame(out, frame);
	}
	if (*error) {
		fprintf(out, "%s    no more: ", margin);
		put(out, error);
		fputc('\n', out);
	}
}

static void put_heading(FILE *out, const json_t *p)
{
	const json_t *tracer = json_object_get(p, "tracer");
	json_t *request;
	size_t i;

	put_person(out, p);
	if (tracer) {
		fputs(": in the debugger: ", out);
		put_person(out, tracer);
	} else if (json_object_get(p, "error")) {
		fputs(": ", out);
		put(out, json_get_text(p, "error"));
		if (*json_get_text(p, "wchan")) {
			fputs(", in ", out);
			put(out, json_get_text(p, "wchan"));
		}
	} else {
		fprintf(out, ": %s", state_word(json_get_text(p, "state")));
	}
	json_array_foreach(json_object_get(p, "requests"), i, request)
	{
		fputs("; ", out);
		put_request(out, request);
	}
	fputc('\n', out);
}

/* --- the tree --------------------------------------------------------------- */

static bool has_more_siblings(const json_t *processes, size_t at)
{
	json_int_t depth = json_get_int(json_array_get(processes, at), "depth");

	for (size_t i = at + 1; i < json_array_size(processes); i++) {
		json_int_t d = json_get_int(json_array_get(processes, i), "depth");
		if (d <= depth)
			return d == depth;
	}
	return false;
}

static bool has_children(const json_t *processes, size_t at)
{
	const json_t *next = json_array_get(processes, at + 1);

	return next &&
	       json_get_int(next, "depth") > json_get_int(json_array_get(processes, at), "depth");
}

/* margin: of the children of each depth's latest process. */
static void put_process(FILE *out, const json_t *processes, size_t at, char *const margins[])
{
	const json_t *p = json_array_get(processes, at);
	json_int_t depth = json_get_int(p, "depth"), left = json_get_int(p, "threads_left_out");
	char body[MARGIN_SIZE + 2];
	json_t *thread;
	size_t i;

	if (depth >= DEPTH_MAX)
		depth = DEPTH_MAX - 1;
	if (depth == 0) {
		*margins[0] = '\0';
	} else {
		bool more = has_more_siblings(processes, at);
		fprintf(out, "%s%s-- ", margins[depth - 1], more ? "|" : "`");
		snprintf(margins[depth], MARGIN_SIZE, "%s%s", margins[depth - 1],
		    more ? "|   " : "    ");
	}
	put_heading(out, p);
	snprintf(
	    body, sizeof(body), "%s%s", margins[depth], has_children(processes, at) ? "| " : "  ");
	json_array_foreach(json_object_get(p, "threads"), i, thread) put_thread(out, thread, body);
	if (left)
		fprintf(out, "%s  and %lld threads more\n", body, (long long)left);
}

void text_print(FILE *out, const json_t *dump, const char *why)
{
	const json_t *processes = json_object_get(dump, "processes");
	size_t count = json_array_size(processes);
	char room[DEPTH_MAX][MARGIN_SIZE] = {""}, *margins[DEPTH_MAX];

	for (size_t i = 0; i < DEPTH_MAX; i++)
		margins[i] = room[i];
	fputs("ttylock: stack dump", out);
	if (why) {
		fputs(" (", out);
		put(out, why);
		fputc(')', out);
	}
	if (!strcmp(json_get_text(dump, "of"), "tree"))
		fprintf(out, " of the tree of pid %d", (int)json_get_int(dump, "pid"));
	else if (!strcmp(json_get_text(dump, "of"), "terminal"))
		fprintf(out, " of %s", json_get_text(dump, "terminal"));
	fprintf(
	    out, ", %s, %zu process%s", json_get_text(dump, "time"), count, count == 1 ? "" : "es");
	if (json_object_get(dump, "daemon_error")) {
		fputs("; who holds and waits is unknown: ", out);
		put(out, json_get_text(dump, "daemon_error"));
	}
	fputc('\n', out);
	for (size_t i = 0; i < count; i++)
		put_process(out, processes, i, margins);
	fputs("ttylock: end of the stack dump\n", out);
}
