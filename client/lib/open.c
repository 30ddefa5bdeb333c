/* Opening and closing a handle. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "export.h"
#include "handle.h"
#include "process.h"
#include "sigint.h"
#include "terminal.h"

static int open_terminal(int given)
{
	if (given == -1)
		return terminal_open();
	if (!isatty(given))
		return -ENOTTY;
	if ((fcntl(given, F_GETFL) & O_ACCMODE) != O_RDWR)
		return -EACCES;
	int fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int introduce_terminal(struct ttylock *t)
{
	unsigned device;

	int r = terminal_device(t->tty, &device);
	if (r == 0)
		r = t->terminal = link_add_terminal(t->link, t->tty, device);
	return r < 0 ? r : 0;
}

static int set_up(struct ttylock *t, int tty, unsigned flags)
{
	if (tty != TTYLOCK_NO_TERMINAL) {
		t->tty = open_terminal(tty);
		if (t->tty < 0)
			return t->tty;
	}
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake < 0)
		return -errno;
	int r = link_get(&t->link, flags);
	return r < 0 || t->tty < 0 ? r : introduce_terminal(t);
}

EXPORT int ttylock_open(struct ttylock **outp, int tty, unsigned flags)
{
	struct ttylock *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->tty = t->line = t->wake = t->poll = t->terminal = -1;
	pthread_mutex_init(&t->lock, NULL);
	t->under_size = inherit_token(t->under);
	int r = set_up(t, tty, flags);
	if (r < 0) {
		ttylock_close(t);
		return r;
	}
	*outp = t;
	return 0;
}

/* The requests of this handle alone; the link may go on. */
static void end_requests(struct ttylock *t)
{
	uint64_t id;

	while ((id = link_request_of(t->link, t)) != 0)
		ttylock_cancel(t, id);
}

EXPORT void ttylock_close(struct ttylock *t)
{
	if (!t)
		return;
	if (t->link && t->link->owner == process_id()) {
		end_requests(t);
		ttylock_unshield(t);
		if (t->terminal >= 0)
			link_forget_terminal(t->link, t->terminal);
		link_put(t->link);
		sigint_rest();
	} else {
		link_put(t->link); /* a child's copy, or NULL */
	}
	free(t->taken); /* of the parent */
	if (t->tty >= 0)
		close(t->tty);
	if (t->line >= 0)
		close(t->line);
	if (t->wake >= 0)
		close(t->wake);
	if (t->poll >= 0)
		close(t->poll);
	free(t);
}
