#include "world.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "../../daemon/discard.h"
#include "../../daemon/procstat.h"
#include "../../daemon/log.h"
#include "../../daemon/store.h"

/* Descriptors of the daemon's: a connection's socket, a process, a terminal. */
#define SOCKS	1000
#define PIDFDS	2000
#define HANDLES 3000

struct world world;

void world_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

/* --- libevent -------------------------------------------------------------- */

static struct {
	struct event *list[4 * WORLD_CONNS];
	int count;
} pending;

static int pending_find(const struct event *ev)
{
	int i = 0;

	while (i < pending.count && pending.list[i] != ev)
		i++;
	return i < pending.count ? i : -1;
}

int event_assign(struct event *ev, struct event_base *base, evutil_socket_t fd, short events,
    event_callback_fn fn, void *arg)
{
	world_check(pending_find(ev) < 0);
	*ev = (struct event){.ev_fd = fd, .ev_base = base, .ev_events = events};
	ev->ev_evcallback.evcb_cb_union.evcb_callback = fn;
	ev->ev_evcallback.evcb_arg = arg;
	return 0;
}

int event_add(struct event *ev, const struct timeval *timeout)
{
	if (timeout) {
		uint64_t due = world.now_ms + (uint64_t)timeout->tv_sec * 1000 +
			       (uint64_t)timeout->tv_usec / 1000;

		ev->ev_timeout =
		    (struct timeval){(time_t)(due / 1000), (suseconds_t)(due % 1000) * 1000};
		if (ev->ev_fd < 0)
			ev->ev_.ev_io.ev_timeout = *timeout; /* of one that persists */
	}
	if (pending_find(ev) < 0)
		pending.list[pending.count++] = ev;
	return 0;
}

void event_active(struct event *ev, int what, short calls)
{
	static const struct timeval at_once = {0, 0};

	(void)what;
	(void)calls;
	event_add(ev, &at_once);
}

int event_del(struct event *ev)
{
	int at = pending_find(ev);

	if (at >= 0)
		pending.list[at] = pending.list[--pending.count];
	return 0;
}

int event_pending(const struct event *ev, short events, struct timeval *tv)
{
	(void)events;
	(void)tv;
	return pending_find(ev) >= 0;
}

struct event *event_new(
    struct event_base *base, evutil_socket_t fd, short events, event_callback_fn fn, void *arg)
{
	struct event *ev = malloc(sizeof(*ev));

	event_assign(ev, base, fd, events, fn, arg);
	return ev;
}

void event_free(struct event *ev)
{
	event_del(ev);
	free(ev);
}

int event_initialized(const struct event *ev)
{
	return ev->ev_evcallback.evcb_cb_union.evcb_callback != NULL;
}

static bool can_be_read(const struct world_conn *c)
{
	return c->in_at < c->in_end || c->hung_up;
}

static bool is_ready(const struct event *ev)
{
	if (ev->ev_fd < 0)
		return (uint64_t)ev->ev_timeout.tv_sec * 1000 +
			   (uint64_t)ev->ev_timeout.tv_usec / 1000 <=
		       world.now_ms;
	if (ev->ev_fd >= PIDFDS)
		return world.processes[ev->ev_fd % WORLD_PROCESSES].dead;
	const struct world_conn *c = &world.conns[ev->ev_fd - SOCKS];
	world_check(c->open);
	return ev->ev_events & EV_READ ? can_be_read(c) : !c->stuffed || c->hung_up;
}

bool world_dispatch(int which)
{
	for (int i = 0; i < pending.count; i++) {
		struct event *ev = pending.list[i];

		if (!is_ready(ev) || which-- > 0)
			continue;
		if (!(ev->ev_events & EV_PERSIST))
			event_del(ev);
		else if (ev->ev_fd < 0)
			event_add(ev, &(struct timeval){ev->ev_.ev_io.ev_timeout.tv_sec,
					  ev->ev_.ev_io.ev_timeout.tv_usec});
		world.told = ev->ev_fd >= SOCKS && ev->ev_fd < PIDFDS ? ev->ev_fd - SOCKS : -1;
		ev->ev_evcallback.evcb_cb_union.evcb_callback(
		    ev->ev_fd, ev->ev_events, ev->ev_evcallback.evcb_arg);
		return true;
	}
	return false;
}

/* --- sockets --------------------------------------------------------------- */

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);

static void fd_pass(struct msghdr *m, int fd)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
}

/* As the kernel: bytes of several writes in one go, but nothing beyond the one that
 * a descriptor came with. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
	struct world_conn *c = &world.conns[fd - SOCKS];
	uint8_t *out = m->msg_iov->iov_base;
	size_t room = m->msg_iov->iov_len, n = 0;
	bool passed = false;

	(void)flags;
	world_check(c->open && room > 0);
	while (n < room && c->segment < c->segment_count && !passed) {
		size_t end = c->segments[c->segment].end;
		size_t some = end - c->in_at < room - n ? end - c->in_at : room - n;

		memcpy(out + n, c->in + c->in_at, some);
		n += some;
		c->in_at += some;
		if (c->segments[c->segment].fd >= 0) {
			fd_pass(m, c->segments[c->segment].fd);
			c->segments[c->segment].fd = -1;
			passed = true;
		}
		if (c->in_at == end)
			c->segment++;
	}
	if (!passed)
		m->msg_controllen = 0;
	m->msg_flags = 0;
	if (n == 0 && !c->hung_up)
		errno = EAGAIN;
	return n || c->hung_up ? (ssize_t)n : -1;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
	struct world_conn *c = &world.conns[fd - SOCKS];

	(void)flags;
	world_check(c->open);
	if (c->hung_up || c->stuffed) {
		errno = c->hung_up ? EPIPE : EAGAIN;
		return -1;
	}
	if (c->window && size > c->window) {
		size = c->window;
		c->stuffed = c->was_stuffed = true;
	}
	world.sent(fd - SOCKS, data, size);
	return (ssize_t)size;
}

struct world_conn *world_conn(int sock)
{
	return &world.conns[sock - SOCKS];
}

int world_connect(int process, int *sock, struct cred *cred)
{
	int n = world.conn_count++;
	struct world_conn *c = &world.conns[n];

	c->process = process;
	c->open = true;
	c->hung_up = c->stuffed = c->was_stuffed = false;
	c->window = 0;
	c->in_end = c->in_at = 0;
	c->segment = c->segment_count = 0;
	*sock = SOCKS + n;
	*cred = (struct cred){
	    .uid = world.processes[process].uid,
	    .pid = world.processes[process].pid,
	    .pidfd = PIDFDS + process,
	    .process = (uint64_t)process + 1,
	    .comm = "fuzz",
	};
	world.pidfds++;
	return n;
}

bool world_write(int conn, const uint8_t *data, size_t size, int fd)
{
	struct world_conn *c = &world.conns[conn];

	if (size == 0 || c->segment_count == WORLD_SEGMENTS || size > WORLD_STREAM - c->in_end)
		return false;
	memcpy(c->in + c->in_end, data, size);
	c->segments[c->segment_count].begin = c->in_end;
	c->in_end += size;
	c->segments[c->segment_count].end = c->in_end;
	c->segments[c->segment_count++].fd = fd;
	return true;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (fd < SOCKS)
		return __real_close(fd);
	if (fd >= HANDLES) {
		world.handles--;
	} else if (fd >= PIDFDS) {
		world.pidfds--;
	} else {
		world_check(world_conn(fd)->open);
		world_conn(fd)->open = false;
	}
	return 0;
}

/* --- processes and terminals ------------------------------------------------- */

bool cred_alive(const struct cred *c)
{
	return !world.processes[c->pidfd - PIDFDS].dead;
}

int cred_find(pid_t pid, uint64_t process, struct cred *out)
{
	int p = (int)process - 1;

	world_check(world.processes[p].pid == pid);
	if (world.processes[p].dead)
		return -ESRCH;
	*out = (struct cred){.pid = pid, .pidfd = PIDFDS + p, .process = process};
	world.pidfds++;
	return 0;
}

void cred_close(struct cred *c)
{
	if (c->pidfd >= 0)
		__wrap_close(c->pidfd);
	c->pidfd = -1;
}

void cred_comm(pid_t pid, char *comm, size_t size)
{
	snprintf(comm, size, "%d", (int)pid);
}

static pid_t parent_of(pid_t pid)
{
	for (int i = 0; i < WORLD_PROCESSES; i++) {
		if (world.processes[i].pid == pid)
			return world.processes[i].parent;
	}
	return 0;
}

bool world_is_below(pid_t pid, pid_t above)
{
	while (pid > 0 && pid != above)
		pid = parent_of(pid);
	return pid > 0;
}

pid_t procstat_parent(pid_t pid)
{
	return parent_of(pid);
}

int proof_take(int fd, pid_t pid, uid_t uid, struct proof *out)
{
	int t = fd - WORLD_FD(0);

	(void)pid;
	(void)uid;
	if (fd == WORLD_FD_FILE || fd == WORLD_FD_WRONG)
		return fd == WORLD_FD_FILE ? -ENOTTY : -EACCES;
	world_check(t >= 0 && t < world.terminal_count);
	if (world.terminals[t].dead)
		return -EIO;
	/* One that has died leaves its device number to others. */
	*out = (struct proof){.filesystem = 1, .device = (uint32_t)t % 4, .handle = HANDLES + t};
	snprintf(out->path, sizeof(out->path), "/dev/pts/%d", t % 4);
	world.handles++;
	return 0;
}

bool proof_holds(const struct proof *p)
{
	return !world.terminals[p->handle - HANDLES].dead;
}

void proof_close(struct proof *p)
{
	if (p->handle >= 0)
		__wrap_close(p->handle);
	p->handle = -1;
}

void discard(int fd)
{
	(void)fd;
}

/* By its name, after a restart: whatever has that name now. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	int n;

	if (sscanf(path, "/dev/pts/%d", &n) != 1)
		return __real_open(path, flags, 0600);
	for (int t = world.terminal_count - 1; t >= 0; t--) {
		if (t % 4 != n)
			continue;
		world.handles++;
		return HANDLES + t;
	}
	errno = ENOENT;
	return -1;
}

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st)
{
	const struct world_terminal *t = &world.terminals[fd - HANDLES];

	if (fd < HANDLES)
		return __real_fstat(fd, st);
	memset(st, 0, sizeof(*st));
	st->st_dev = 1;
	st->st_rdev = (dev_t)(t - world.terminals) % 4;
	st->st_nlink = !t->dead;
	st->st_uid = t->owner;
	return 0;
}

/* --- time and chance ----------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts =
	    (struct timespec){(time_t)(world.now_ms / 1000), (long)(world.now_ms % 1000) * 1000000};
	return 0;
}

/* Never twice the same. */
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
	(void)flags;
	memset(out, 0x5a, size);
	for (size_t at = 0; at + sizeof(world.random) <= size; at += 2 * sizeof(world.random)) {
		world.random++;
		memcpy((uint8_t *)out + at, &world.random, sizeof(world.random));
	}
	return (ssize_t)size;
}

void world_reset(void)
{
	static const uid_t uids[WORLD_PROCESSES] = {1000, 1000, 1000, 1000, 1001, 1001, 0, 1000};

	world_check(world.handles == 0 && world.pidfds == 0 && pending.count == 0);
	for (int i = 0; i < WORLD_PROCESSES; i++)
		world.processes[i] = (struct world_process){
		    .pid = 100 + i, .parent = i ? 100 + (i - 1) / 2 : 1, .uid = uids[i]};
	world.terminal_count = 3;
	for (int t = 0; t < WORLD_TERMINALS; t++)
		world.terminals[t] = (struct world_terminal){.owner = t % 4 == 2 ? 1001 : 1000};
	world.conn_count = 0;
	world.now_ms = 1000000;
	world.random = 0;
}

/* --- the service manager: there is none ------------------------------------------ */

int store_take_terminal(uint64_t id)
{
	(void)id;
	return -1;
}

void store_put_terminal(uint64_t id, int fd)
{
	(void)id;
	(void)fd;
}

void store_remove_terminal(uint64_t id)
{
	(void)id;
}

/* --- the log ------------------------------------------------------------------- */

void log_event(const struct log_event *e)
{
	(void)e;
}

#define SILENT(name)                                                                               \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		(void)fmt;                                                                         \
	}
SILENT(log_warn)
SILENT(log_warnx)
SILENT(log_info)
SILENT(log_debug)
