/* watchdog: tells the service manager that the event loop goes round, and in a
 * line what it is at (sd_notify: WATCHDOG=1, STATUS=). Logs when it was late.
 *
 * Sends from the loop alone, so that one that is stuck is found out. Does not know
 * what is served: the text is the caller's.
 */
#ifndef TTYLOCK_WATCHDOG_H
#define TTYLOCK_WATCHDOG_H

#include <event2/event.h>
#include <stddef.h>

struct watchdog;

/* Writes a short line, zero-terminated. */
typedef void watchdog_status(char *out, size_t size, void *arg);

/* Sends at once and then twice in each interval that the manager asked for
 * (sd_watchdog_enabled). 0; *out is NULL when it asked for none. -ENOMEM, or the
 * error in what it asked. */
int watchdog_new(
    struct event_base *base, watchdog_status *status, void *arg, struct watchdog **out);

/* NULL is fine. */
void watchdog_free(struct watchdog *w);

#endif
