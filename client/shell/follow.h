/* follow: what the daemon tells of all requests, from one daemon to the next: one
 * that goes away is looked for until it is back. Starts one only where told to. */
#ifndef TTYLOCK_FOLLOW_H
#define TTYLOCK_FOLLOW_H

#include "feed.h"

struct follow {
	/* All are called with arg; NULL: not wanted. What is not 0 ends it. */
	int (*on_back)(const struct greeting *daemon, void *arg);
	/* It has gone, or was not there to begin with: once. */
	int (*on_lost)(void *arg);
	int (*on_event)(const ttylock_Event *event, void *arg);
	/* All there is: at first, after events were missed, when one of these asked
	 * for it (stale), and at the end. */
	int (*on_list)(const struct listing *l, void *arg);
	void *arg;
	bool start;	  /* a daemon, if none runs at the beginning */
	int wake;	  /* a descriptor that ends it when it is readable; -1 */
	int64_t deadline; /* ends it; -1 */
	bool stale;
	/* Its own. */
	struct feed feed;
	bool back, ended;
	int result;
};

/* 0: by wake or deadline; what one of its functions returned; -errno of
 * ttylock_open(), but none for a daemon that is absent. */
int follow_run(struct follow *f);

#endif
