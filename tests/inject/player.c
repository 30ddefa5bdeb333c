#include "player.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void players_begin(struct players *all)
{
	all->count = 0;
	all->last_sync = 0;
	all->fault = NULL;
}

void player_close(struct player *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

void players_end(struct players *all)
{
	for (int i = 0; i < all->count; i++)
		player_close(&all->list[i]);
}

void player_say(struct player *p, const ttylock_Envelope *e, int fd)
{
	uint8_t out[FRAME_MAX];
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	ssize_t n = frame_encode(e, out, sizeof(out));
	struct iovec iov = {.iov_base = out, .iov_len = (size_t)n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (p->fd < 0 || n < 0)
		return;
	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.buf;
		m.msg_controllen = sizeof(control.buf);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	if (sendmsg(p->fd, &m, MSG_NOSIGNAL) < 0)
		player_close(p);
}

struct player *player_connect_silently(struct players *all, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct player *p = &all->list[all->count];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	p->length = 0;
	p->synced = 0;
	p->count = 0;
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(p->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		player_close(p);
		return NULL;
	}
	all->count++;
	return p;
}

struct player *player_connect(struct players *all, const char *path)
{
	struct player *p = player_connect_silently(all, path);
	ttylock_Envelope e = {.which_body = ttylock_Envelope_hello_tag};

	e.body.hello.version = 1;
	e.body.hello.tree = 7;
	if (p)
		player_say(p, &e, -1);
	return p;
}

void player_open(struct player *p, uint32_t number, int tty)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_terminal_open_tag};

	e.body.terminal_open.terminal = number;
	player_say(p, &e, tty);
}

static int request_new(struct player *p, int terminal, ttylock_Envelope *e)
{
	int n = p->count++;

	*e = (ttylock_Envelope){.which_body = ttylock_Envelope_lock_request_tag};
	p->requests[n].number = e->body.lock_request.request = (uint64_t)n + 1;
	p->requests[n].terminal = terminal;
	p->requests[n].state = ttylock_State_STATE_UNSPECIFIED;
	e->body.lock_request.terminal = terminal < 0 ? 0 : (uint32_t)terminal;
	return n;
}

int player_lock(struct player *p, uint64_t task, int terminal, const uint8_t *under)
{
	ttylock_Envelope e;
	int n = request_new(p, terminal, &e);

	if (under)
		p->requests[n].terminal = -1;
	e.body.lock_request.has_task = true;
	e.body.lock_request.task.id = task;
	e.body.lock_request.reason = ttylock_Reason_REASON_COMMAND;
	if (under) {
		e.body.lock_request.under.size = 16;
		memcpy(e.body.lock_request.under.bytes, under, 16);
	}
	player_say(p, &e, -1);
	return n;
}

int player_reclaim(struct player *p, int terminal, const uint8_t *token)
{
	ttylock_Envelope e;
	int n = request_new(p, terminal, &e);

	e.body.lock_request.reclaim.size = 16;
	memcpy(e.body.lock_request.reclaim.bytes, token, 16);
	player_say(p, &e, -1);
	return n;
}

void player_save(struct player *p, int request)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_terminal_state_tag};

	e.body.terminal_state.request = p->requests[request].number;
	e.body.terminal_state.saved.size = 100;
	player_say(p, &e, -1);
}

void player_release(struct player *p, int request)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_release_tag};

	e.body.lock_release.request = p->requests[request].number;
	p->requests[request].state = ttylock_State_STATE_RELEASED;
	player_say(p, &e, -1);
}

/* --- hearing -------------------------------------------------------------- */

static void take(struct player *p, const ttylock_Envelope *e)
{
	const ttylock_LockStatus *s = &e->body.lock_status;

	if (e->which_body == ttylock_Envelope_status_report_tag && e->body.status_report.last &&
	    e->body.status_report.query > 1000)
		p->synced = e->body.status_report.query;
	if (e->which_body == ttylock_Envelope_error_tag && e->body.error.ref > 1000)
		p->synced = e->body.error.ref;
	if (e->which_body != ttylock_Envelope_lock_status_tag)
		return;
	for (int i = 0; i < p->count; i++) {
		if (p->requests[i].number != s->request ||
		    p->requests[i].state == ttylock_State_STATE_RELEASED)
			continue;
		p->requests[i].state = s->state;
		p->requests[i].id = s->id;
		if (s->token.size == 16)
			memcpy(p->requests[i].token, s->token.bytes, 16);
	}
}

static void hear(struct players *all, struct player *p)
{
	ttylock_Envelope e;
	ssize_t n = recv(p->fd, p->rx + p->length, sizeof(p->rx) - p->length, 0);

	if (n <= 0) {
		player_close(p);
		return;
	}
	p->length += (size_t)n;
	while ((n = frame_decode(p->rx, p->length, &e)) > 0) {
		take(p, &e);
		p->length -= (size_t)n;
		memmove(p->rx, p->rx + n, p->length);
	}
	if (n < 0)
		all->fault = "the daemon sent a bad frame";
}

static bool is_held_twice(const struct players *all)
{
	int holders[8] = {0};
	bool twice = false;

	for (int i = 0; i < all->count; i++) {
		const struct player *p = &all->list[i];

		for (int k = 0; k < p->count && p->fd >= 0; k++) {
			if (p->requests[k].state == ttylock_State_STATE_GRANTED &&
			    p->requests[k].terminal >= 0 && ++holders[p->requests[k].terminal] > 1)
				twice = true;
		}
	}
	return twice;
}

static void show(const struct players *all)
{
	for (int i = 0; i < all->count; i++) {
		const struct player *p = &all->list[i];

		for (int k = 0; k < p->count; k++)
			printf("# player %d (%s): request %llu for terminal %d: %d\n", i,
			    p->fd < 0 ? "gone" : "here", (unsigned long long)p->requests[k].id,
			    p->requests[k].terminal, (int)p->requests[k].state);
	}
}

static bool waits(const struct players *all, const struct player *p)
{
	return p->fd >= 0 && p->synced != all->last_sync;
}

static void sync_once(struct players *all)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_status_query_tag};
	struct pollfd fds[PLAYERS];

	all->last_sync = (all->last_sync ? all->last_sync : 1000) + 1;
	e.body.status_query.query = all->last_sync;
	for (int i = 0; i < all->count; i++)
		player_say(&all->list[i], &e, -1);
	for (;;) {
		bool any = false;

		for (int i = 0; i < all->count; i++) {
			const struct player *p = &all->list[i];

			fds[i] =
			    (struct pollfd){.fd = waits(all, p) ? p->fd : -1, .events = POLLIN};
			any = any || waits(all, p);
		}
		if (!any)
			break;
		if (poll(fds, (nfds_t)all->count, PLAYER_DEADLINE_MS) <= 0) {
			all->fault = "the daemon does not answer";
			return;
		}
		for (int i = 0; i < all->count; i++)
			if (fds[i].revents)
				hear(all, &all->list[i]);
	}
}

/* Twice: what one says may be for another, who has been answered before. And again
 * where somebody who was hung up on has not heard that yet. */
void players_sync(struct players *all)
{
	if (all->fault)
		return;
	sync_once(all);
	sync_once(all);
	for (int i = 0; i < 3 && !all->fault && is_held_twice(all); i++)
		sync_once(all);
	if (!all->fault && is_held_twice(all))
		all->fault = "a terminal is held twice";
	if (all->fault)
		show(all);
}
