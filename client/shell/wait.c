/* ttylock wait: until nobody holds or waits for the terminal. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <string.h>

#include "../lib/deadline.h"
#include "../lib/outage.h"
#include "command.h"
#include "feed.h"
#include "options.h"
#include "place.h"

#define RETRY_MS 50

struct wait {
	bool all;
	char terminal[PLACE_MAX];
	int64_t deadline;
};

static bool is_chosen(const struct listing_row *row, void *arg)
{
	const struct wait *w = arg;

	return w->all || strcmp(row->entry.terminal, w->terminal) == 0;
}

/* One daemon: 0: idle; -ETIMEDOUT; -ECONNRESET: it is gone. */
static int wait_idle(struct wait *w, struct feed *f)
{
	struct listing l;

	int r = feed_watch(f);
	while (r == 0) {
		r = feed_list(f, &l, deadline_in(FEED_MS));
		listing_keep(&l, is_chosen, w);
		bool idle = l.count == 0;
		listing_free(&l);
		if (r < 0 || idle)
			return r;
		/* Whatever it is that happens: then is the time to look again. */
		if (deadline_left(w->deadline) == 0)
			return -ETIMEDOUT;
		r = feed_wait(f, w->deadline);
	}
	return r;
}

static int wait_for(struct wait *w)
{
	int64_t back = 0; /* until when one that has gone may come back */

	for (;;) {
		struct feed f = {0};
		int r = feed_open(&f, 0);

		if (r == 0)
			r = wait_idle(w, &f);
		else if (r != -ENOENT)
			return complain(EXIT_FAILED, "%s", open_error(r));
		else if (deadline_left(back) == 0) /* no daemon: then nothing is held */
			return 0;
		else if (deadline_left(w->deadline) == 0)
			r = -ETIMEDOUT;
		else
			poll(NULL, 0, RETRY_MS);
		feed_close(&f);
		if (r == -ETIMEDOUT)
			return EXIT_TIMED_OUT;
		if (r == -ECONNRESET)
			back = deadline_in(OUTAGE_MS);
		else if (r != -ENOENT && r != -EINTR)
			return r < 0 ? complain(EXIT_FAILED, "wait: %s", strerror(-r)) : 0;
	}
}

static int run_wait(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
	    {"timeout", required_argument, NULL, 'w'}, {"all", no_argument, NULL, 'a'},
	    {"tty", required_argument, NULL, 't'}, {0}};
	struct options o = OPTIONS_INIT;
	struct wait w = {0};
	const char *tty = NULL;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+:haw:t:", longs, NULL)) != -1) {
		if (opt == 'a')
			w.all = true;
		else if (opt == 't')
			tty = optarg;
		else if ((r = options_take(&o, self, opt, argv)) >= 0)
			return r;
	}
	if (optind != argc)
		return complain_usage(self, "it takes no argument '%s'", argv[optind]);
	if (tty && w.all)
		return complain_usage(self, "one of --all and --tty");
	if (tty && !place_named(tty, w.terminal))
		return complain(EXIT_FAILED, "wait: no such terminal: '%s'", tty);
	if (!tty && !place_here(w.terminal))
		w.all = true;
	w.deadline = deadline_in(o.timeout_ms);
	return wait_for(&w);
}

const struct command command_wait = {
    .name = "wait",
    .arguments = "[OPTION]...",
    .summary = "Wait until nobody holds this terminal or waits for it",
    .help = "  -w, --timeout SECS   fail after so long (124)\n"
	    "  -t, --tty PATH       that terminal rather than this one\n"
	    "  -a, --all            all terminals, as where there is none here\n"
	    "\nA terminal that is handed over counts as held. Where no daemon runs, nothing is.\n"
	    "\nExit status: 0; 124 as above; 125 ttylock failed; 64 wrong command line.\n",
    .run = run_wait,
};
