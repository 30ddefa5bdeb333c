/* options: those that exec and debug have in common, as in flock(1). */
#ifndef TTYLOCK_OPTIONS_H
#define TTYLOCK_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#include "command.h"

struct options {
	bool nonblock;
	int timeout_ms;	   /* -1: for ever */
	int conflict_exit; /* -1: the usual 75 and 124 */
	const char *why;   /* NULL: not given */
};

#define OPTIONS_INIT                                                                               \
	{                                                                                          \
		.timeout_ms = -1, .conflict_exit = -1                                              \
	}
#define OPTIONS_SHORT "+:hnw:E:"
#define OPTIONS_LONG                                                                               \
	{"help", no_argument, NULL, 'h'}, {"nonblock", no_argument, NULL, 'n'},                    \
	    {"timeout", required_argument, NULL, 'w'},                                             \
	    {"conflict-exit-code", required_argument, NULL, 'E'},                                  \
	{                                                                                          \
		"why", required_argument, NULL, 'y'                                                \
	}
#define OPTIONS_HELP                                                                               \
	"  -n, --nonblock               fail at once when the terminal is held (75)\n"             \
	"  -w, --timeout SECS           fail after so long (124)\n"                                \
	"  -E, --conflict-exit-code N   the status instead of 75 and 124\n"                        \
	"      --why TEXT               the reason that others are shown\n"

/* Takes in one option that getopt_long returned. -1: go on; else the status to
 * exit with (0 after --help). */
int options_take(struct options *o, const struct command *c, int opt, char **argv);

/* The status for not having got the terminal: -EBUSY, -ETIMEDOUT. */
int options_conflict(const struct options *o, int error);

/* A whole decimal number in [min, max]: 0 and *out, or -1. */
int parse_number(const char *text, long min, long max, long *out);

#endif
