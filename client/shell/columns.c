#include "columns.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "../dump/requests.h"
#include "../lib/procfs.h"

/* What a flexible column keeps at least when the screen is narrow. */
#define FLEXIBLE_MIN 8

enum { RIGHT = 1, FLEXIBLE = 2 };

struct column {
	const char *name, *help;
	int flags;
	bool open; /* told of other users' requests too */
	void (*value)(const struct listing_row *row, char *out, size_t size);
};

bool entry_is_stopped(const ttylock_Entry *e)
{
	struct procfs_stat ps;

	return e->position == 0 && e->pid > 0 && procfs_stat(e->pid, &ps) == 0 &&
	       (ps.state == 'T' || ps.state == 't');
}

/* --- the columns ------------------------------------------------------------ */

#define VALUE(name) static void name(const struct listing_row *row, char *out, size_t size)

VALUE(terminal_value)
{
	snprintf(out, size, "%s", row->entry.terminal);
}

VALUE(id_value)
{
	snprintf(out, size, "%llu", (unsigned long long)row->entry.id);
}

VALUE(place_value)
{
	if (row->entry.position == 0)
		snprintf(out, size, "%s",
		    row->below			    ? "below"
		    : entry_is_stopped(&row->entry) ? "stopped"
						    : "holds");
	else
		snprintf(out, size, "%u", (unsigned)row->entry.position);
}

VALUE(age_value)
{
	unsigned long long s = row->entry.age_ms / 1000;

	if (s < 100)
		snprintf(out, size, "%llus", s);
	else if (s < 100 * 60)
		snprintf(out, size, "%llum%02llus", s / 60, s % 60);
	else
		snprintf(out, size, "%lluh%02llum", s / 3600, s / 60 % 60);
}

VALUE(pid_value)
{
	const ttylock_Entry *e = &row->entry;

	snprintf(out, size, "%d", (int)(e->subject_pid ? e->subject_pid : e->pid));
}

VALUE(reason_value)
{
	snprintf(out, size, "%s", reason_name(row->entry.reason));
}

VALUE(command_value)
{
	const ttylock_Entry *e = &row->entry;

	snprintf(out, size, "%s", e->subject_pid ? e->subject_comm : e->comm);
}

VALUE(text_value)
{
	snprintf(out, size, "%s", row->entry.hidden ? "another user's" : row->entry.text);
}

VALUE(uid_value)
{
	snprintf(out, size, "%u", (unsigned)row->entry.uid);
}

VALUE(user_value)
{
	const struct passwd *pw = getpwuid(row->entry.uid);

	if (pw)
		snprintf(out, size, "%s", pw->pw_name);
	else
		uid_value(row, out, size);
}

VALUE(asker_value)
{
	snprintf(out, size, "%d", (int)row->entry.pid);
}

VALUE(asker_command_value)
{
	snprintf(out, size, "%s", row->entry.comm);
}

VALUE(task_value)
{
	snprintf(
	    out, size, "%s:%llu", row->entry.task.name, (unsigned long long)row->entry.task.id);
}

VALUE(under_value)
{
	if (row->entry.under)
		snprintf(out, size, "%llu", (unsigned long long)row->entry.under);
}

VALUE(tree_value)
{
	if (row->entry.tree)
		snprintf(out, size, "%llx", (unsigned long long)row->entry.tree);
}

#define USUAL 8

static const struct column all[] = {
    {"TERMINAL", "the terminal", 0, true, terminal_value},
    {"ID", "the request's number", RIGHT, false, id_value},
    {"PLACE", "holds, stopped (a holder), below (a nested one), or the place in the queue", RIGHT,
	true, place_value},
    {"AGE", "since it was asked", RIGHT, false, age_value},
    {"PID", "the process that it is for", RIGHT, false, pid_value},
    {"REASON", "breakpoint, crash or command", 0, false, reason_value},
    {"COMMAND", "that process's name", FLEXIBLE, false, command_value},
    {"TEXT", "the place in the program, the signal, the command", FLEXIBLE, true, text_value},
    {"UID", "the number of the user who asks", RIGHT, false, uid_value},
    {"USER", "the user who asks", 0, false, user_value},
    {"ASKER", "the process that asks", RIGHT, false, asker_value},
    {"ASKERCMD", "that process's name", FLEXIBLE, false, asker_command_value},
    {"TASK", "the thread or task that asks, NAME:NUMBER", FLEXIBLE, false, task_value},
    {"UNDER", "the ID of the grant that it was asked under", RIGHT, false, under_value},
    {"TREE", "the number of the 'ttylock run' that it is below", RIGHT, false, tree_value},
};

void columns_help(FILE *out)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		fprintf(out, "  %-9s %s\n", all[i].name, all[i].help);
}

void columns_init(struct columns *c)
{
	*c = (struct columns){.count = USUAL};
	for (size_t i = 0; i < USUAL; i++)
		c->list[i] = &all[i];
}

static const struct column *column_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strlen(all[i].name) == len && !strncasecmp(all[i].name, name, len))
			return &all[i];
	return NULL;
}

int columns_choose(struct columns *c, const char *names, char bad[32])
{
	if (*names == '+')
		names++;
	else
		c->count = 0;
	for (;;) {
		size_t len = strcspn(names, ",");
		const struct column *column = column_find(names, len);

		snprintf(bad, 32, "%.*s", (int)(len < 31 ? len : 31), names);
		if (!column)
			return -ENOENT;
		if (c->count == COLUMNS_MAX)
			return -E2BIG;
		c->list[c->count++] = column;
		if (!names[len])
			return 0;
		names += len + 1;
	}
}

/* --- texts ------------------------------------------------------------------ */

/* Bidirectional overrides and line separators are printable, and harm. */
static bool is_harmless(wint_t c)
{
	return iswprint(c) && wcwidth((wchar_t)c) >= 0 && !(c >= 0x200e && c <= 0x200f) &&
	       !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

/* One character of text, or one byte of it as \xNN: how many bytes it took. out
 * may be NULL. */
static size_t put_one(FILE *out, const char *text, bool raw, unsigned room, unsigned *width)
{
	mbstate_t state = {0};
	wchar_t wide;
	size_t n = mbrtowc(&wide, text, strlen(text), &state);
	bool good = n > 0 && n < (size_t)-2 && is_harmless((wint_t)wide) &&
		    !(raw && (*text == ' ' || *text == '\\'));
	unsigned takes = good ? (unsigned)wcwidth(wide) : 4;

	*width = takes;
	if (takes > room)
		return 0;
	if (out && good)
		fwrite(text, 1, n, out);
	else if (out)
		fprintf(out, "\\x%02x", (unsigned char)*text);
	return good ? n : 1;
}

static unsigned put_cell(FILE *out, const char *text, bool raw, unsigned room)
{
	unsigned width = 0, one;

	while (*text) {
		size_t n = put_one(out, text, raw, room - width, &one);
		if (n == 0)
			break;
		text += n;
		width += one;
	}
	return width;
}

unsigned put_harmless(FILE *out, const char *text, unsigned width)
{
	return put_cell(out, text, false, width ? width : ~0u);
}

/* --- the table -------------------------------------------------------------- */

static void cell_value(
    const struct column *column, const struct listing_row *row, char *out, size_t size)
{
	*out = '\0';
	if (!row)
		snprintf(out, size, "%s", column->name);
	else if (row->entry.hidden && !column->open)
		snprintf(out, size, "-");
	else
		column->value(row, out, size);
}

static void print_raw(FILE *out, const struct columns *c, const struct listing_row *row)
{
	char value[512];

	for (size_t i = 0; i < c->count; i++) {
		if (i)
			fputc(' ', out);
		cell_value(c->list[i], row, value, sizeof(value));
		if (put_cell(out, value, true, ~0u) == 0)
			fputc('-', out);
	}
	fputc('\n', out);
}

static void measure(const struct columns *c, const struct listing *l, unsigned widths[])
{
	char value[512];

	for (size_t i = 0; i < c->count; i++) {
		widths[i] = (unsigned)strlen(c->list[i]->name);
		for (size_t r = 0; r < l->count; r++) {
			cell_value(c->list[i], &l->rows[r], value, sizeof(value));
			unsigned width = put_cell(NULL, value, false, ~0u);
			if (width > widths[i])
				widths[i] = width;
		}
	}
}

/* Takes from the flexible columns, the last one first, what the screen has not. */
static void fit(const struct columns *c, unsigned widths[])
{
	unsigned total = 0;

	for (size_t i = 0; i < c->count; i++)
		total += widths[i] + (i > 0);
	for (size_t i = c->count; c->width && i-- > 0 && total > c->width;) {
		unsigned least = FLEXIBLE_MIN, excess = total - c->width;

		if (!(c->list[i]->flags & FLEXIBLE) || widths[i] <= least)
			continue;
		unsigned less = widths[i] - least < excess ? widths[i] - least : excess;
		widths[i] -= less;
		total -= less;
	}
}

static const char *colour_of(const struct listing_row *row)
{
	if (!row)
		return "\033[1m";
	if (row->entry.position)
		return "";
	return row->below ? "\033[2m" : "\033[32m";
}

static void print_row(
    FILE *out, const struct columns *c, const unsigned widths[], const struct listing_row *row)
{
	unsigned left = c->width ? c->width : ~0u;
	const char *colour = c->colours ? colour_of(row) : "";
	char value[512];

	fputs(colour, out);
	for (size_t i = 0; i < c->count && left > 0; i++) {
		unsigned room = widths[i] < left ? widths[i] : left;

		cell_value(c->list[i], row, value, sizeof(value));
		unsigned blank = room - put_cell(NULL, value, false, room);
		if (c->list[i]->flags & RIGHT)
			fprintf(out, "%*s", (int)blank, "");
		put_cell(out, value, false, room);
		if (!(c->list[i]->flags & RIGHT) && i + 1 < c->count)
			fprintf(out, "%*s", (int)blank, "");
		left -= room;
		if (i + 1 < c->count && left > 0) {
			fputc(' ', out);
			left--;
		}
	}
	fputs(*colour ? "\033[0m\n" : "\n", out);
}

void columns_print(FILE *out, const struct columns *c, const struct listing *l)
{
	unsigned widths[COLUMNS_MAX];

	if (!c->raw) {
		measure(c, l, widths);
		fit(c, widths);
	}
	for (size_t i = c->noheadings ? 1 : 0; i <= l->count; i++) {
		const struct listing_row *row = i ? &l->rows[i - 1] : NULL;

		if (c->raw)
			print_raw(out, c, row);
		else
			print_row(out, c, widths, row);
	}
}
