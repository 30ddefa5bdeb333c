#include "options.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int parse_number(const char *text, long min, long max, long *out)
{
	char *end;

	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < min || n > max)
		return -1;
	*out = n;
	return 0;
}

static int parse_seconds(const char *text, int *ms)
{
	char *end;
	double secs = strtod(text, &end);

	if (end == text || *end || !isfinite(secs) || secs < 0 || secs > INT_MAX / 1000)
		return -1;
	*ms = (int)(secs * 1000);
	return 0;
}

int options_take(struct options *o, const struct command *c, int opt, char **argv)
{
	long n;

	switch (opt) {
	case 'h':
		return print_help(c);
	case 'n':
		o->nonblock = true;
		return -1;
	case 'w':
		if (parse_seconds(optarg, &o->timeout_ms) < 0)
			return complain_usage(c, "-w takes a number of seconds, not '%s'", optarg);
		return -1;
	case 'E':
		if (parse_number(optarg, 0, 255, &n) < 0)
			return complain_usage(
			    c, "-E takes an exit status 0 to 255, not '%s'", optarg);
		o->conflict_exit = (int)n;
		return -1;
	case 'y':
		o->why = optarg;
		return -1;
	case ':':
		return complain_usage(c, "'%s' wants a value", argv[optind - 1]);
	default:
		return complain_option(c, argv);
	}
}

int options_conflict(const struct options *o, int error)
{
	if (o->conflict_exit >= 0)
		return o->conflict_exit;
	return error == -EBUSY ? EXIT_BUSY : EXIT_TIMED_OUT;
}
