/* steer: what the steering subcommands share: which requests a person means, and
 * what is said of an order that the daemon refused.
 *
 * All exit with 0 when it is done, EXIT_NOTHING when there was nothing to do it
 * to, EXIT_FAILED when it is not allowed or cannot be.
 */
#ifndef TTYLOCK_STEER_H
#define TTYLOCK_STEER_H

#include <sys/types.h>

#include "command.h"
#include "feed.h"

#define EXIT_NOTHING 1

#define STEER_OPTIONS                                                                              \
	"  -i, --id    the number is a request's ID, as 'ttylock status' shows it\n"               \
	"  -p, --pid   the number is a process: one that asks, or for which is asked\n"            \
	"\nWithout these it is an ID if there is such a request, else a PID.\n"
#define STEER_STATUS                                                                               \
	"\nYour own requests, those for your terminals, and any if you are root.\n"                \
	"\nExit status: 0; 1 there is no such request, or no daemon runs; 125 not allowed, or\n"   \
	"ttylock failed; 64 wrong command line.\n"

enum steer_kind {
	STEER_ID = 1,
	STEER_PID = 2,
	STEER_EITHER = STEER_ID | STEER_PID,
};

struct steering {
	const struct command *self;
	struct feed feed;
	struct listing all;
};

/* Connects and asks what there is: 0, or the status to exit with, after a line
 * that says why. steering_end() in any case. */
int steering_begin(struct steering *s, const struct command *self);
void steering_end(struct steering *s);

/* Keeps in s->all what the number means and holds (holder) or waits. 0, or the
 * status to exit with after a line. */
int steering_choose(struct steering *s, long number, enum steer_kind kind, bool holder);

/* The request that holds the terminal that we are on, or the only one that is
 * held; NULL after a line. */
const struct listing_row *steering_holder(struct steering *s);

/* Gives the order; a refusal is told in a line. The status to exit with. */
int steering_order(struct steering *s, enum feed_order order, uint64_t id);

/* The command line "[-i|-p] ID|PID": 0; or > 0, the status to exit with. *number
 * is 0 after --help. */
int steering_parse(
    const struct command *self, int argc, char **argv, long *number, enum steer_kind *kind);

#endif
