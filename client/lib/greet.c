#include "greet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "deadline.h"
#include "launch.h"
#include "request.h"

static uint64_t tree_of_environment(void)
{
	const char *tree = secure_getenv("TTYLOCK_TREE");

	return tree ? strtoull(tree, NULL, 16) : 0;
}

static int take_welcome(const ttylock_Envelope *e, const char *path, struct greeting *out)
{
	if (e->which_body == ttylock_Envelope_error_tag)
		return request_errno(e->body.error.code);
	if (e->which_body != ttylock_Envelope_welcome_tag)
		return -EPROTO;
	if (e->body.welcome.version != 1)
		return -EPROTONOSUPPORT;
	out->welcome = e->body.welcome;
	snprintf(out->socket, sizeof(out->socket), "%s", path);
	return 0;
}

int greet_at(struct channel *c, const char *path, struct greeting *out, int64_t deadline)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	int r = channel_connect(c, path, deadline);
	if (r < 0)
		return r;
	e.which_body = ttylock_Envelope_hello_tag;
	e.body.hello.version = 1;
	e.body.hello.tree = out->tree = tree_of_environment();
	r = channel_send(c, &e, -1, deadline);
	if (r == 0)
		r = channel_receive(c, &e, deadline) ?: -ETIMEDOUT;
	if (r > 0)
		r = take_welcome(&e, path, out);
	if (r < 0)
		channel_close(c);
	return r == -ECONNRESET ? -EAGAIN : r;
}

static bool is_absent(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR;
}

static int greet_first(
    struct channel *c, const struct addresses *a, struct greeting *out, int64_t deadline)
{
	int r = -ENOENT;

	for (size_t i = 0; i < a->count && is_absent(r); i++)
		r = greet_at(c, a->path[i], out, deadline);
	return is_absent(r) ? -ENOENT : r;
}

int greet_any(struct channel *c, const struct addresses *a, unsigned flags, struct greeting *out,
    int64_t deadline)
{
	for (;;) {
		int r = greet_first(c, a, out, deadline);
		if (r == -ENOENT && (flags & TTYLOCK_START)) {
			r = launch_daemon(a, deadline);
			if (r == 0)
				r = -EAGAIN;
		} else if (r == -ENOENT && addresses_have_record(a)) {
			r = -EHOSTDOWN;
		}
		if (r != -EAGAIN)
			return r;
		if (deadline_left(deadline) == 0)
			return -ETIMEDOUT;
		/* One that is on its way out still has its socket for a moment. */
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}
