#include "forest_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../dump/forest.h"
#include "../dump/requests.h"
#include "columns.h"

#define DEPTH_MAX 32

/* As /proc/PID/stat has it. */
static unsigned device_of(const char *terminal)
{
	struct stat st;

	if (stat(terminal, &st) < 0)
		return 0;
	return (minor(st.st_rdev) & 0xff) | major(st.st_rdev) << 8 |
	       (minor(st.st_rdev) & ~0xffu) << 12;
}

/* ttylock's own helpers are not drawn: what they ask for themselves is shown at
 * the program that they have started. */
static bool is_about(const ttylock_Entry *e, const struct forest_node *n)
{
	pid_t subject = e->subject_pid ? e->subject_pid : e->pid;

	return !e->hidden && (n->pid == subject || (subject == e->pid && n->parent == subject));
}

static bool has_more_siblings(const struct forest *f, size_t at)
{
	for (size_t i = at + 1; i < f->count; i++)
		if (f->nodes[i].depth <= f->nodes[at].depth)
			return f->nodes[i].depth == f->nodes[at].depth;
	return false;
}

static void put_margin(char *out, size_t size, const struct forest *f, size_t at, bool more[])
{
	unsigned depth = f->nodes[at].depth < DEPTH_MAX ? f->nodes[at].depth : DEPTH_MAX - 1;
	size_t n = 0;

	more[depth] = depth && has_more_siblings(f, at);
	*out = '\0';
	for (unsigned d = 1; d < depth; d++)
		n += (size_t)snprintf(out + n, size - n, "%s", more[d] ? "|   " : "    ");
	if (depth)
		snprintf(out + n, size - n, "%s", more[depth] ? "|-- " : "`-- ");
}

static void put_mark(char *out, size_t size, const struct listing_row *row)
{
	const ttylock_Entry *e = &row->entry;
	char place[32];

	snprintf(place, sizeof(place), "waits (%u)", (unsigned)e->position);
	snprintf(out, size, "  %llu %s: %s: %s", (unsigned long long)e->id,
	    e->position		  ? place
	    : row->below	  ? "HOLDS below"
	    : entry_is_stopped(e) ? "HOLDS, stopped"
				  : "HOLDS",
	    reason_name(e->reason), e->text);
}

static void print_line(FILE *out, const struct forest_style *style, const char *margin,
    const char *text, const char *colour)
{
	unsigned used = put_harmless(out, margin, style->width);

	if (style->colours)
		fputs(colour, out);
	if (!style->width || used < style->width)
		put_harmless(out, text, style->width ? style->width - used : 0);
	fputs(style->colours && *colour ? "\033[0m\n" : "\n", out);
}

static void print_forest(FILE *out, const struct forest_style *style, const struct forest *f,
    const struct listing *l, bool shown[])
{
	char margin[4 * DEPTH_MAX + 8], text[1024];
	bool more[DEPTH_MAX] = {false};

	for (size_t i = 0; i < f->count; i++) {
		const struct forest_node *n = &f->nodes[i];
		size_t used = (size_t)snprintf(text, sizeof(text), "%s (%d)", n->comm, n->pid);
		const char *colour = "";

		for (size_t r = 0; r < l->count; r++) {
			if (shown[r] || !is_about(&l->rows[r].entry, n))
				continue;
			shown[r] = true;
			put_mark(text + used, sizeof(text) - used, &l->rows[r]);
			used = strlen(text);
			colour = l->rows[r].entry.position ? "\033[33m" : "\033[32m";
		}
		put_margin(margin, sizeof(margin), f, i, more);
		print_line(out, style, margin, text, colour);
	}
}

/* Those who are not of the terminal, or are helpers of ours that still wait. */
static void print_rest(FILE *out, const struct forest_style *style, const struct listing *l,
    const char *terminal, bool shown[])
{
	char text[1024];

	for (size_t r = 0; r < l->count; r++) {
		const ttylock_Entry *e = &l->rows[r].entry;
		if (shown[r] || strcmp(e->terminal, terminal) != 0)
			continue;
		shown[r] = true;
		if (e->hidden)
			snprintf(text, sizeof(text), "another user's  %s",
			    e->position ? "waits" : "HOLDS");
		else
			snprintf(text, sizeof(text), "%s (%d)",
			    e->subject_pid ? e->subject_comm : e->comm,
			    (int)(e->subject_pid ? e->subject_pid : e->pid));
		if (!e->hidden)
			put_mark(text + strlen(text), sizeof(text) - strlen(text), &l->rows[r]);
		print_line(out, style, "", text, e->position ? "\033[33m" : "\033[32m");
	}
}

static int print_terminals(
    FILE *out, const struct forest_style *style, const struct listing *l, bool shown[])
{
	const char *last = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->count; i++) {
		struct forest f = {0};

		if (!strcmp(last, l->rows[i].entry.terminal))
			continue;
		last = l->rows[i].entry.terminal;
		print_line(out, style, "", last, "\033[1m");
		unsigned device = device_of(last);
		r = device ? forest_of_terminal(&f, device) : 0;
		if (r == 0)
			print_forest(out, style, &f, l, shown);
		forest_deinit(&f);
		print_rest(out, style, l, last, shown);
	}
	return r;
}

int forest_print(FILE *out, const struct forest_style *style, const struct listing *l, pid_t root)
{
	bool *shown = calloc(l->count + 1, sizeof(*shown));
	struct forest f = {0};
	int r = shown ? 0 : -ENOMEM;

	if (r == 0 && !root) {
		r = print_terminals(out, style, l, shown);
	} else if (r == 0) {
		r = forest_of_tree(&f, root);
		if (r == 0)
			print_forest(out, style, &f, l, shown);
		forest_deinit(&f);
	}
	free(shown);
	return r;
}
