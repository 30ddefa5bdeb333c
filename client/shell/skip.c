/* ttylock skip: no debugger for all those that wait for the same reason. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "steer.h"

/* The same terminal, too: what happens on others is somebody else's tree. */
static bool is_alike(const struct listing_row *row, void *arg)
{
	const ttylock_Entry *a = &row->entry, *b = arg;

	return !a->hidden && a->position && a->reason == b->reason && !strcmp(a->text, b->text) &&
	       !strcmp(a->terminal, b->terminal);
}

/* Some may have gone, or have been served, while we were at it. */
static int cancel_all(struct steering *s)
{
	size_t done = 0;

	for (size_t i = 0; i < s->all.count; i++) {
		int r = feed_order(&s->feed, FEED_CANCEL, s->all.rows[i].entry.id);
		if (r == 0)
			done++;
		else if (r != -ENOENT && r != -EINVAL)
			return steering_order(s, FEED_CANCEL, s->all.rows[i].entry.id);
	}
	if (done == 0)
		return complain(EXIT_NOTHING, "skip: nobody waits for that reason at that place");
	printf("%zu cancelled\n", done);
	return 0;
}

static int skip(struct steering *s, long number)
{
	const struct listing_row *row = NULL;

	for (size_t i = 0; number && i < s->all.count; i++)
		if (!s->all.rows[i].entry.hidden && s->all.rows[i].entry.id == (uint64_t)number)
			row = &s->all.rows[i];
	/* Another user's: the daemon's word for it. */
	if (number && !row)
		return steering_order(s, FEED_CANCEL, (uint64_t)number);
	if (!number && !(row = steering_holder(s)))
		return EXIT_NOTHING;
	if (row->entry.hidden)
		return complain(EXIT_FAILED, "skip: %s is another user's", row->entry.terminal);
	ttylock_Entry like = row->entry;
	listing_keep(&s->all, is_alike, &like);
	return cancel_all(s);
}

static int run_skip(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {0}};
	struct steering s;
	long number = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "+:h", longs, NULL)) != -1)
		return opt == 'h' ? print_help(self) : complain_option(self, argv);
	if (argc - optind > 1)
		return complain_usage(self, "one request at a time");
	if (optind < argc && parse_number(argv[optind], 1, LONG_MAX, &number) < 0)
		return complain_usage(self, "not an ID: '%s'", argv[optind]);
	int status = steering_begin(&s, self);
	if (status == 0)
		status = skip(&s, number);
	steering_end(&s);
	return status;
}

const struct command command_skip = {
    .name = "skip",
    .arguments = "[ID]",
    .summary = "Cancel all that wait for the same reason, at the same place, as this one",
    .help = "ID is a request that holds or waits; without it the one that holds this terminal,\n"
	    "or the only one that is held. Those are alike that wait for the same terminal with\n"
	    "the same REASON and TEXT, as 'ttylock status' shows them. Prints how many "
	    "were.\n" STEER_STATUS,
    .run = run_skip,
};
