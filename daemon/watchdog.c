#include "watchdog.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#define STATUS_MAX 128

struct watchdog {
	struct event *timer;
	watchdog_status *status;
	void *arg;
};

static void feed(const struct watchdog *w)
{
	char text[STATUS_MAX];

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
	usec = usec / 2 > 0 ? usec / 2 : 1;
	struct timeval half = {(time_t)(usec / 1000000), (suseconds_t)(usec % 1000000)};
	struct watchdog *w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->status = status;
	w->arg = arg;
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
