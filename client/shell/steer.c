#include "steer.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "../lib/deadline.h"
#include "options.h"
#include "place.h"

int steering_begin(struct steering *s, const struct command *self)
{
	*s = (struct steering){.self = self};
	int r = feed_open(&s->feed, 0);

	if (r == -ENOENT)
		return complain(EXIT_NOTHING,
		    "%s: no daemon runs, so nobody holds or waits; 'ttylock run' or 'exec' "
		    "starts one",
		    self->name);
	if (r == 0)
		r = feed_list(&s->feed, &s->all, deadline_in(FEED_MS));
	return r < 0 ? complain(EXIT_FAILED, "%s", open_error(r)) : 0;
}

void steering_end(struct steering *s)
{
	listing_free(&s->all);
	feed_close(&s->feed);
}

/* --- which ------------------------------------------------------------------ */

struct choice {
	long number;
	bool by_id, holder;
};

static bool is_of_pid(const ttylock_Entry *e, long pid)
{
	return !e->hidden && (e->pid == pid || e->subject_pid == pid);
}

static bool has_id(const ttylock_Entry *e, long id)
{
	return !e->hidden && e->id == (uint64_t)id;
}

static bool is_meant(const struct listing_row *row, void *arg)
{
	const struct choice *c = arg;

	if (c->by_id)
		return has_id(&row->entry, c->number);
	return is_of_pid(&row->entry, c->number) && (row->entry.position == 0) == c->holder;
}

int steering_choose(struct steering *s, long number, enum steer_kind kind, bool holder)
{
	struct choice c = {.number = number, .holder = holder};
	bool by_pid = false, other = false, stranger = false;

	for (size_t i = 0; i < s->all.count; i++) {
		const ttylock_Entry *e = &s->all.rows[i].entry;
		bool fits = is_of_pid(e, number) && (kind & STEER_PID);

		c.by_id = c.by_id || (has_id(e, number) && (kind & STEER_ID));
		by_pid = by_pid || (fits && (e->position == 0) == holder);
		other = other || (fits && (e->position == 0) != holder);
		stranger = stranger || (fits && !has_id(e, number));
	}
	if (c.by_id && by_pid && stranger)
		return complain(EXIT_FAILED,
		    "%s: %ld is a request and a process: say which by --id or --pid", s->self->name,
		    number);
	if (c.by_id || by_pid) {
		listing_keep(&s->all, is_meant, &c);
		return 0;
	}
	if (other)
		return complain(EXIT_NOTHING, "%s: process %ld %s", s->self->name, number,
		    holder ? "waits: 'ttylock cancel' takes its request back"
			   : "holds the terminal: 'ttylock release --force' frees it");
	/* Another user's request is not listed by its number; the daemon knows. */
	if (kind & STEER_ID)
		return steering_order(s, holder ? FEED_RELEASE : FEED_CANCEL, (uint64_t)number);
	return complain(EXIT_NOTHING, "%s: process %ld has no request here", s->self->name, number);
}

const struct listing_row *steering_holder(struct steering *s)
{
	const struct listing_row *only = NULL;
	char here[PLACE_MAX];
	bool is_here = place_here(here);
	size_t holders = 0;

	for (size_t i = 0; i < s->all.count; i++) {
		const struct listing_row *row = &s->all.rows[i];
		if (row->entry.position || row->below)
			continue;
		if (is_here && !strcmp(row->entry.terminal, here))
			return row;
		only = row;
		holders++;
	}
	if (holders == 1)
		return only;
	complain(0,
	    holders ? "%s: several terminals are held: which request? 'ttylock status' "
		      "shows their IDs"
		    : "%s: no terminal is held",
	    s->self->name);
	return NULL;
}

/* --- the order -------------------------------------------------------------- */

int steering_order(struct steering *s, enum feed_order order, uint64_t id)
{
	const char *name = s->self->name;
	unsigned long long n = id;
	int r = feed_order(&s->feed, order, id);

	switch (r) {
	case 0:
		return 0;
	case -ENOENT:
		return complain(EXIT_NOTHING, "%s: there is no request %llu", name, n);
	case -EACCES:
		return complain(EXIT_FAILED,
		    "%s: request %llu is another user's: that one, the terminal's owner and root "
		    "may do this",
		    name, n);
	case -EINVAL:
		return complain(EXIT_NOTHING, "%s: request %llu %s", name, n,
		    order == FEED_RELEASE
			? "waits: 'ttylock cancel' takes it back"
			: "holds the terminal: 'ttylock release --force' frees it");
	case -EDEADLK:
		return complain(EXIT_FAILED,
		    "%s: request %llu stays where it is: one that it would overtake would wait "
		    "for ever",
		    name, n);
	default:
		return complain(EXIT_FAILED, "%s: %s", name, open_error(r));
	}
}

/* --- the command line ------------------------------------------------------- */

int steering_parse(
    const struct command *self, int argc, char **argv, long *number, enum steer_kind *kind)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
	    {"id", no_argument, NULL, 'i'}, {"pid", no_argument, NULL, 'p'}, {0}};
	int opt;

	*number = 0;
	*kind = STEER_EITHER;
	while ((opt = getopt_long(argc, argv, "+:hip", longs, NULL)) != -1) {
		if (opt == 'h')
			return print_help(self);
		if (opt != 'i' && opt != 'p')
			return complain_option(self, argv);
		if (*kind != STEER_EITHER)
			return complain_usage(self, "one of --id and --pid");
		*kind = opt == 'i' ? STEER_ID : STEER_PID;
	}
	if (optind + 1 != argc)
		return complain_usage(
		    self, optind == argc ? "which request?" : "one request at a time");
	if (parse_number(argv[optind], 1, LONG_MAX, number) < 0)
		return complain_usage(self, "neither an ID nor a PID: '%s'", argv[optind]);
	return 0;
}
