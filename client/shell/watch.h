/* watch: `status --watch`: the requests as they change, on a screen or as lines of
 * JSON. A daemon that goes away is looked for until it is back. */
#ifndef TTYLOCK_WATCH_H
#define TTYLOCK_WATCH_H

#include "columns.h"

struct watch {
	struct columns columns;
	/* Which requests it is about. */
	bool (*keep)(const struct listing_row *row, void *arg);
	void *arg;
};

/* Both go on until something fails, or the person leaves the screen: the status to
 * exit with. */
int watch_screen(struct watch *w);
int watch_json(struct watch *w);

#endif
