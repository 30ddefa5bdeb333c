#include "watchdog.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "log.h"

#define STATUS_MAX 128

struct watchdog {
	struct event *timer;
	watchdog_status *status;
	void *arg;
	uint64_t late, fed; /* us: what counts as late; when it was fed last */
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Said before the manager's patience ends: afterwards there is nobody to say it. */
static void feed(struct watchdog *w)
{
	char text[STATUS_MAX];
	uint64_t now = now_us();

	if (w->fed && now - w->fed > w->late) {
		snprintf(text, sizeof(text), "%.1f s", (double)(now - w->fed) / 1e6);
		log_event(&(struct log_event){.kind = LOG_KIND_STALLED, .note = text});
	}
	w->fed = now;
	w->status(text, sizeof(text), w->arg);
	/* A manager that cannot be told will end us: there is nothing to do about it. */
	sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s", text);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	feed(arg);
}

int watchdog_new(struct event_base *base, watchdog_status *status, void *arg, struct watchdog **out)
{
	uint64_t usec;
	int rc = sd_watchdog_enabled(0, &usec);

	if (rc <= 0) {
		*out = NULL;
		return rc;
	}
	uint64_t late = usec / 4 * 3;
	usec = usec / 2 > 0 ? usec / 2 : 1;
	struct timeval half = {(time_t)(usec / 1000000), (suseconds_t)(usec % 1000000)};
	struct watchdog *w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->status = status;
	w->arg = arg;
	w->late = late;
	w->timer = event_new(base, -1, EV_PERSIST, on_timer, w);
	if (!w->timer || event_add(w->timer, &half) < 0) {
		watchdog_free(w);
		return -ENOMEM;
	}
	feed(w);
	*out = w;
	return 0;
}

void watchdog_free(struct watchdog *w)
{
	if (!w)
		return;
	if (w->timer)
		event_free(w->timer);
	free(w);
}
