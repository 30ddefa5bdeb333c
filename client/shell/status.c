/* ttylock status: who has which terminal, who waits, and why. */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../dump/json.h"
#include "../lib/deadline.h"
#include "columns.h"
#include "command.h"
#include "entry_json.h"
#include "forest_view.h"
#include "options.h"
#include "place.h"
#include "screen.h"
#include "watch.h"

/* The status to exit with when what was asked for by --tty or --pid is free. */
#define EXIT_FREE 1

struct status {
	struct columns columns;
	bool json, tree, watch, table; /* table: an option for the table alone */
	const char *tty_name;	       /* NULL: all */
	char tty[PLACE_MAX];
	long pid; /* 0: all */
};

static bool is_chosen(const struct listing_row *row, void *arg)
{
	const struct status *s = arg;
	const ttylock_Entry *e = &row->entry;

	if (s->tty_name && strcmp(s->tty, e->terminal) != 0)
		return false;
	return !s->pid || (!e->hidden && (e->pid == s->pid || e->subject_pid == s->pid));
}

/* --- printing --------------------------------------------------------------- */

static bool wants_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static int print_json(const struct greeting *daemon, const struct listing *l)
{
	json_t *all = json_of_listing(daemon, l);
	int r = json_print(stdout, all, JSON_INDENT(2));

	json_decref(all);
	return r;
}

/* The columns' heads alone would not tell anybody that nothing is held. */
static bool is_usual(const struct status *s)
{
	return !s->table && !s->tty_name && !s->pid;
}

static int print(const struct status *s, const struct feed *f, const struct listing *l)
{
	struct forest_style style = {.colours = s->columns.colours, .width = s->columns.width};

	if (s->json)
		return print_json(f->open ? &f->greeting : NULL, l);
	if (s->tree && (l->count || s->pid))
		return forest_print(stdout, &style, l, (pid_t)s->pid);
	if (l->count)
		columns_print(stdout, &s->columns, l);
	else if (is_usual(s))
		puts(f->open ? "no terminal is held" : "no terminal is held (no daemon runs)");
	return 0;
}

static int show(struct status *s)
{
	struct feed f = {0};
	struct listing l = {0};

	int r = feed_open(&f, 0);
	if (r < 0 && r != -ENOENT) /* no daemon: then nothing is held */
		return complain(EXIT_FAILED, "%s", open_error(r));
	if (r == 0)
		r = feed_list(&f, &l, deadline_in(FEED_MS));
	else
		r = 0;
	bool any = false;
	for (size_t i = 0; i < l.count; i++)
		any = any || is_chosen(&l.rows[i], s);
	/* A process's tree is drawn with all that are in it. */
	if (!(s->tree && s->pid))
		listing_keep(&l, is_chosen, s);
	if (r == 0)
		r = print(s, &f, &l);
	if (r == 0 && fflush(stdout) == EOF)
		r = -errno;
	listing_free(&l);
	feed_close(&f);
	if (r < 0)
		return complain(EXIT_FAILED, "status: %s",
		    r == -ETIMEDOUT ? "the daemon does not answer"
		    : r == -ESRCH   ? "no such process"
		    : r == -EUSERS  ? open_error(r)
				    : strerror(-r));
	return any || (!s->tty_name && !s->pid) ? 0 : EXIT_FREE;
}

/* --- the command ------------------------------------------------------------ */

enum { OPT_TREE = 256, OPT_TTY, OPT_PID, OPT_WATCH };

static int take_columns(struct status *s, const struct command *self)
{
	char bad[32];

	s->table = true;
	int r = columns_choose(&s->columns, optarg, bad);
	if (r == 0)
		return -1;
	return r == -E2BIG ? complain_usage(self, "too many columns")
			   : complain_usage(self, "no column '%s'", bad);
}

static int help(const struct command *self)
{
	print_help(self);
	puts("\nThe columns; the first eight are the usual ones:");
	columns_help(stdout);
	puts("\nExit status: 0; with --tty or --pid 0 held, 1 free; 125 ttylock failed; 64 wrong\n"
	     "command line. No daemon is started: where none runs, nothing is held.");
	return 0;
}

static int take_option(struct status *s, const struct command *self, int opt, char **argv)
{
	switch (opt) {
	case 'h':
		return help(self);
	case 'J':
		s->json = true;
		return -1;
	case 'o':
		return take_columns(s, self);
	case 'n':
		s->table = s->columns.noheadings = true;
		return -1;
	case 'r':
		s->table = s->columns.raw = true;
		return -1;
	case OPT_TREE:
		s->tree = true;
		return -1;
	case OPT_WATCH:
		s->watch = true;
		return -1;
	case OPT_TTY:
		s->tty_name = optarg;
		return -1;
	case OPT_PID:
		if (parse_number(optarg, 1, INT32_MAX, &s->pid) < 0)
			return complain_usage(self, "not a pid: '%s'", optarg);
		return -1;
	case ':':
		return complain_usage(self, "'%s' wants a value", argv[optind - 1]);
	default:
		return complain_option(self, argv);
	}
}

/* 0, or the status to exit with. */
static int check(struct status *s, const struct command *self)
{
	if (s->json && s->table)
		return complain_usage(self, "-o, -n and -r are for the table, not for --json");
	if (s->tree && (s->json || s->table || s->watch))
		return complain_usage(self, "--tree goes with --tty and --pid alone");
	if (s->watch && !s->json && !isatty(STDOUT_FILENO))
		return complain_usage(self, "--watch needs a terminal, or --json");
	if (s->tty_name && !place_named(s->tty_name, s->tty))
		return complain(EXIT_FAILED, "status: no such terminal: '%s'", s->tty_name);
	return 0;
}

static int run_status(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
	    {"json", no_argument, NULL, 'J'}, {"output", required_argument, NULL, 'o'},
	    {"noheadings", no_argument, NULL, 'n'}, {"raw", no_argument, NULL, 'r'},
	    {"tree", no_argument, NULL, OPT_TREE}, {"tty", required_argument, NULL, OPT_TTY},
	    {"pid", required_argument, NULL, OPT_PID}, {"watch", no_argument, NULL, OPT_WATCH},
	    {0}};
	struct status s = {0};
	int opt, r;

	setlocale(LC_CTYPE, "");
	columns_init(&s.columns);
	while ((opt = getopt_long(argc, argv, "+:hJo:nr", longs, NULL)) != -1)
		if ((r = take_option(&s, self, opt, argv)) >= 0)
			return r;
	if (optind != argc)
		return complain_usage(self, "it takes no argument '%s'", argv[optind]);
	if ((r = check(&s, self)) > 0)
		return r;
	s.columns.colours = wants_colours();
	s.columns.width = screen_width();
	if (!s.watch)
		return show(&s);
	struct watch w = {.columns = s.columns, .keep = is_chosen, .arg = &s};
	return s.json ? watch_json(&w) : watch_screen(&w);
}

const struct command command_status = {
    .name = "status",
    .arguments = "[OPTION]...",
    .summary = "Show who has which terminal, who waits for it, and why",
    .help = "  -o, --output COLUMNS   which columns, with commas between; +COLUMNS: besides\n"
	    "                         the usual ones\n"
	    "  -n, --noheadings       no line of headings\n"
	    "  -r, --raw              one blank between columns, none inside them\n"
	    "  -J, --json             one JSON object instead of a table\n"
	    "      --tree             the processes as a tree, holder and waiters marked\n"
	    "      --tty PATH         of that terminal alone\n"
	    "      --pid PID          of what that process asked for, or is asked for it, alone\n"
	    "      --watch            a screen that follows the changes, until q; with --json a\n"
	    "                         line for each event\n",
    .run = run_status,
};
