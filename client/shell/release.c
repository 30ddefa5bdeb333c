/* ttylock release --force: free a terminal whose holder does not. */
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "columns.h"
#include "options.h"
#include "steer.h"

struct release {
	bool force, yes;
	long number; /* 0: the one that holds the terminal here */
};

static bool is_agreed(const ttylock_Entry *e)
{
	char answer[16];

	fputs("Take ", stdout);
	put_harmless(stdout, e->terminal, 0);
	fputs(" from ", stdout);
	put_harmless(stdout, e->subject_pid ? e->subject_comm : e->comm, 0);
	printf(" (pid %d): ", (int)(e->subject_pid ? e->subject_pid : e->pid));
	put_harmless(stdout, e->text, 0);
	fputs("? [y/N] ", stdout);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) &&
	       (!strcasecmp(answer, "y\n") || !strcasecmp(answer, "yes\n"));
}

static int release_one(struct steering *s, const struct release *q)
{
	const struct listing_row *row;

	if (q->number) {
		int status = steering_choose(s, q->number, STEER_ID, true);
		if (status || s->all.count == 0)
			return status;
		row = &s->all.rows[0];
	} else if (!(row = steering_holder(s))) {
		return EXIT_NOTHING;
	} else if (row->entry.hidden) {
		return complain(EXIT_FAILED,
		    "release: %s is another user's: that one, the terminal's owner and root may do "
		    "this",
		    row->entry.terminal);
	}
	/* Of one that waits there is nothing to be asked. */
	if (!q->yes && row->entry.position == 0 && !is_agreed(&row->entry))
		return complain(EXIT_NOTHING, "release: nothing is done");
	return steering_order(s, FEED_RELEASE, row->entry.id);
}

static int run_release(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
	    {"force", no_argument, NULL, 'f'}, {"yes", no_argument, NULL, 'y'}, {0}};
	struct release q = {0};
	struct steering s;
	int opt;

	setlocale(LC_CTYPE, "");
	while ((opt = getopt_long(argc, argv, "+:hfy", longs, NULL)) != -1) {
		if (opt == 'h')
			return print_help(self);
		if (opt != 'f' && opt != 'y')
			return complain_option(self, argv);
		q.force = q.force || opt == 'f';
		q.yes = q.yes || opt == 'y';
	}
	if (argc - optind > 1)
		return complain_usage(self, "one request at a time");
	if (optind < argc && parse_number(argv[optind], 1, LONG_MAX, &q.number) < 0)
		return complain_usage(self, "not an ID: '%s'", argv[optind]);
	if (!q.force)
		return complain_usage(self, "a terminal is released by its holder, or by --force");
	if (!q.yes && !isatty(STDIN_FILENO))
		return complain_usage(self, "--yes is needed where nobody can be asked");
	int status = steering_begin(&s, self);
	if (status == 0)
		status = release_one(&s, &q);
	steering_end(&s);
	return status;
}

const struct command command_release = {
    .name = "release",
    .arguments = "--force [--yes] [ID]",
    .summary = "Free a terminal by force: its holder is told by whom, and loses it",
    .help = "Without ID: who holds this terminal, or the only one that is held. A debugger that\n"
	    "holds it is ended, and so its process ends, or goes on, as without ttylock. The\n"
	    "next one in the queue is served.\n\n"
	    "  -f, --force   say it\n"
	    "  -y, --yes     do not ask; needed where nobody can be asked\n" STEER_STATUS,
    .run = run_release,
};
