/* outage: how long a daemon has been away, and what to do about it when.
 *
 * Pure: times are milliseconds that are passed in, and so is chance. Clients of a
 * daemon that died all notice at the same moment; what each does is spread.
 */
#ifndef TTYLOCK_OUTAGE_H
#define TTYLOCK_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

/* So long nobody answered: no daemon comes back. While it does not try (it is stopped, or
 * seldom in the library), time hardly passes. */
#define OUTAGE_MS 10000
/* So many let us in and hung up: daemons that died one after the other, or one that
 * will not have us. */
#define OUTAGE_HANGUPS 60

struct outage {
	unsigned tries;	  /* since a daemon last welcomed us */
	unsigned absent;  /* those that found nobody there */
	unsigned hangups; /* those that were let in all the same */
	int64_t since;	  /* the first of them */
	int64_t last;	  /* the last one */
	int64_t spent;	  /* in trying, since one was let in */
	int64_t next;	  /* when to try again */
	int64_t launch;	  /* when to start a daemon; 0: not yet known */
	bool eager;	  /* the one that sees to it that there is a daemon */
};

/* The connection has broken. */
void outage_begin(struct outage *o, int64_t now, uint32_t chance);
/* A daemon has welcomed us. */
void outage_end(struct outage *o);

bool outage_is_due(const struct outage *o, int64_t now);
/* A try begins. */
void outage_try(struct outage *o, int64_t now);
/* It failed, with a negative errno of connect(2), or -ECONNRESET for one who let us
 * in and hung up. False: no daemon comes back. */
bool outage_failed(struct outage *o, int64_t now, int error, uint32_t chance);
/* Whether to start a daemon now; at most once in a while. */
bool outage_launches(struct outage *o, int64_t now);

#endif
