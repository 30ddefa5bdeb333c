/* ttylock status: who has which terminal, who waits, and why. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../dump/json.h"
#include "../lib/lock.h"
#include "command.h"

static const char *reason_name(enum ttylock_reason reason)
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

/* --- the table ------------------------------------------------------------ */

/* Another process's text must not steer the reader's terminal. */
static void print_escaped(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

static void print_age(uint64_t ms)
{
	uint64_t s = ms / 1000;
	char text[32];

	if (s < 100)
		snprintf(text, sizeof(text), "%llus", (unsigned long long)s);
	else if (s < 100 * 60)
		snprintf(text, sizeof(text), "%llum%02llus", (unsigned long long)s / 60,
		    (unsigned long long)s % 60);
	else
		snprintf(text, sizeof(text), "%lluh%02llum", (unsigned long long)s / 3600,
		    (unsigned long long)s / 60 % 60);
	printf("%7s", text);
}

struct table {
	unsigned rows;
	char terminal[64]; /* of the row before */
};

/* Of several holders the topmost is listed first. */
static const char *place_of(const struct ttylock_entry *e, struct table *table, char out[16])
{
	bool same = strcmp(table->terminal, e->terminal) == 0;

	snprintf(table->terminal, sizeof(table->terminal), "%s", e->terminal);
	if (e->position == 0)
		return same ? "below" : "holds";
	snprintf(out, 16, "%u", e->position);
	return out;
}

static int print_row(const struct ttylock_entry *e, void *arg)
{
	struct table *table = arg;
	char number[16];

	if (table->rows++ == 0)
		printf("%-12s %6s %5s %7s %7s  %-10s %-15s %s\n", "TERMINAL", "ID", "PLACE", "AGE",
		    "PID", "REASON", "COMMAND", "TEXT");
	const char *place = place_of(e, table, number);
	printf("%-12s ", e->terminal);
	if (e->hidden) {
		printf("%6s %5s %7s %7s  another user's\n", "-", place, "-", "-");
		return 0;
	}
	printf("%6llu %5s ", (unsigned long long)e->id, place);
	print_age(e->age_ms);
	printf(" %7d  %-10s ", (int)(e->subject ? e->subject : e->pid), reason_name(e->reason));
	print_escaped(e->subject ? e->subject_comm : e->comm);
	for (size_t n = strlen(e->subject ? e->subject_comm : e->comm); n < 15; n++)
		putchar(' ');
	putchar(' ');
	print_escaped(e->text);
	putchar('\n');
	return 0;
}

/* --- JSON ----------------------------------------------------------------- */

static json_t *json_request(const struct ttylock_entry *e)
{
	if (e->hidden)
		return json_pack("{s:b, s:i}", "hidden", 1, "position", (int)e->position);
	return json_pack("{s:I, s:i, s:I, s:o, s:{s:o, s:I}, s:s, s:o, s:i, s:o, s:i, s:f}", "id",
	    (json_int_t)e->id, "pid", (int)e->pid, "uid", (json_int_t)e->uid, "comm",
	    json_text(e->comm), "task", "name", json_text(e->task_name), "id",
	    (json_int_t)e->task_id, "reason", reason_name(e->reason), "text", json_text(e->text),
	    "subject_pid", (int)e->subject, "subject_comm", json_text(e->subject_comm), "position",
	    (int)e->position, "age_s", (double)e->age_ms / 1000);
}

static json_t *terminal_of(json_t *terminals, const char *path)
{
	json_t *last = json_array_get(terminals, json_array_size(terminals) - 1);

	if (last && !strcmp(json_string_value(json_object_get(last, "terminal")), path))
		return last;
	last = json_pack(
	    "{s:o, s:n, s:[], s:[]}", "terminal", json_text(path), "holder", "below", "waiters");
	json_array_append_new(terminals, last);
	return last;
}

static int add_json(const struct ttylock_entry *e, void *arg)
{
	json_t *terminal = terminal_of(arg, e->terminal);

	if (e->position == 0 && json_is_null(json_object_get(terminal, "holder")))
		json_object_set_new(terminal, "holder", json_request(e));
	else if (e->position == 0)
		json_array_append_new(json_object_get(terminal, "below"), json_request(e));
	else
		json_array_append_new(json_object_get(terminal, "waiters"), json_request(e));
	return 0;
}

static int print_json(struct ttylock *t)
{
	json_t *daemon = json_null(), *terminals = json_array();
	int r = 0;

	if (t) {
		r = ttylock_list(t, 10000, add_json, terminals);
		daemon = json_pack("{s:i, s:o, s:f}", "pid", (int)t->link->daemon_pid, "socket",
		    json_text(t->link->socket), "uptime_s", (double)t->link->uptime_ms / 1000);
	}
	json_t *all =
	    json_pack("{s:i, s:o, s:o}", "version", 1, "daemon", daemon, "terminals", terminals);
	if (r == 0 && json_dumpf(all, stdout, JSON_INDENT(2)) < 0)
		r = -EIO;
	putchar('\n');
	json_decref(all);
	return r;
}

/* --- the command ---------------------------------------------------------- */

static int print_table(struct ttylock *t)
{
	struct table table = {0};
	int r = t ? ttylock_list(t, 10000, print_row, &table) : 0;

	if (r == 0 && table.rows == 0)
		puts(t ? "no terminal is held" : "no terminal is held (no daemon runs)");
	return r;
}

static int run_status(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, 'J'}, {0}};
	struct ttylock *t = NULL;
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "+:hJ", longs, NULL)) != -1) {
		if (opt == 'h')
			return print_help(self);
		if (opt != 'J')
			return complain_option(self, argv);
		json = true;
	}
	if (optind != argc)
		return complain_usage(self, "it takes no argument '%s'", argv[optind]);

	int r = ttylock_open(&t, TTYLOCK_NO_TERMINAL, 0);
	if (r < 0 && r != -ENOENT) /* no daemon: then nothing is held */
		return complain(EXIT_FAILED, "%s", open_error(r));
	r = json ? print_json(t) : print_table(t);
	ttylock_close(t);
	if (r == 0 && fflush(stdout) == EOF)
		r = -errno;
	return r < 0 ? complain(EXIT_FAILED, "status: %s", strerror(-r)) : 0;
}

const struct command command_status = {
    .name = "status",
    .arguments = "[OPTION]...",
    .summary = "Show who has which terminal, who waits for it, and why",
    .help = "  -J, --json   one JSON object instead of a table\n"
	    "\nExit status: 0; 125 ttylock failed; 64 wrong command line.\n",
    .run = run_status,
};
