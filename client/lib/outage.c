#include "outage.h"

#include <errno.h>

#define FIRST_MS   50	/* within this, the first try */
#define FULL_MS	   20	/* and the next one where the listener's queue is full */
#define DELAY_MIN  25	/* else they are so far apart, doubled each time */
#define DELAY_MAX  250	/* up to this */
#define SPREAD_MS  400	/* when clients start a daemon themselves */
#define AGAIN_MS   2000 /* and when once more */
#define STARTED_MS 10	/* how soon a daemon that was started may answer */
#define ABSENT	   2
/* No more of the time between two tries counts. */
#define GAP_MAX (2 * DELAY_MAX)

static bool is_absence(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR;
}

/* The second half of it is chance. */
static int64_t delay(unsigned tries, uint32_t chance)
{
	int64_t ms = tries < 4 ? DELAY_MIN << tries : DELAY_MAX;

	if (ms > DELAY_MAX)
		ms = DELAY_MAX;
	return ms / 2 + chance % (ms / 2 + 1);
}

void outage_begin(struct outage *o, int64_t now, uint32_t chance)
{
	if (o->tries)
		o->next = now + delay(o->tries, chance);
	else
		o->next = o->eager ? now : now + chance % (FIRST_MS + 1);
}

void outage_end(struct outage *o)
{
	*o = (struct outage){.eager = o->eager};
}

bool outage_is_due(const struct outage *o, int64_t now)
{
	return now >= o->next;
}

void outage_try(struct outage *o, int64_t now)
{
	int64_t gap = now - o->last;

	if (o->tries++ == 0)
		o->since = now;
	else
		o->spent += gap < GAP_MAX ? gap : GAP_MAX;
	o->last = now;
}

bool outage_failed(struct outage *o, int64_t now, int error, uint32_t chance)
{
	if (error == -ECONNRESET) {
		o->hangups++;
		o->spent = 0;
	}
	if (is_absence(error) && ++o->absent >= ABSENT && !o->launch)
		o->launch = now + chance % (SPREAD_MS + 1);
	if (o->eager && o->absent && !o->launch)
		o->launch = now;
	o->next = now + (error == -EAGAIN ? chance % FULL_MS + 1 : delay(o->tries, chance));
	if (o->hangups >= OUTAGE_HANGUPS)
		return false;
	return o->spent < OUTAGE_MS;
}

bool outage_launches(struct outage *o, int64_t now)
{
	if (!o->launch || now < o->launch)
		return false;
	o->launch = now + AGAIN_MS;
	o->next = now + STARTED_MS;
	return true;
}
