/* ttylock cancel, ttylock next: one request leaves its queue, or is served first. */
#include "steer.h"

static int steer(const struct command *self, int argc, char **argv, enum feed_order order)
{
	struct steering s;
	enum steer_kind kind;
	long number;

	int status = steering_parse(self, argc, argv, &number, &kind);
	if (status || !number)
		return status;
	status = steering_begin(&s, self);
	if (status == 0)
		status = steering_choose(&s, number, kind, false);
	/* From behind, so that of several the first one comes out first. */
	for (size_t i = s.all.count; status == 0 && i-- > 0;)
		status = steering_order(&s, order, s.all.rows[i].entry.id);
	steering_end(&s);
	return status;
}

static int run_cancel(const struct command *self, int argc, char **argv)
{
	return steer(self, argc, argv, FEED_CANCEL);
}

static int run_next(const struct command *self, int argc, char **argv)
{
	return steer(self, argc, argv, FEED_FIRST);
}

const struct command command_cancel = {
    .name = "cancel",
    .arguments = "[OPTION] ID|PID",
    .summary = "Take a waiting request out of its queue",
    .help = "A crashed process whose request is cancelled ends as it would have without\n"
	    "ttylock; its terminal is told so in a line. Of a process all requests that "
	    "wait.\n\n" STEER_OPTIONS STEER_STATUS,
    .run = run_cancel,
};

const struct command command_next = {
    .name = "next",
    .arguments = "[OPTION] ID|PID",
    .summary = "Serve a waiting request before all others of its queue",
    .help = "Who has the terminal keeps it; when it is free, that one is next.\n\n" STEER_OPTIONS
	STEER_STATUS,
    .run = run_next,
};
