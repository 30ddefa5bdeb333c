#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"
#include "atfork.h"
#include "deadline.h"

/* --- what the child of a fork must not keep ------------------------------- */

static struct {
	pthread_mutex_t lock; /* never held while waiting */
	struct channel *first;
} channels = {PTHREAD_MUTEX_INITIALIZER, NULL};

static void before_fork(void)
{
	atfork_take(&channels.lock);
}

static void after_fork_parent(void)
{
	atfork_give(&channels.lock);
}

static void after_fork_child(void)
{
	for (struct channel *c = channels.first; c; c = c->next) {
		int fd = c->fd;
		c->fd = -1;
		if (fd >= 0)
			close(fd);
	}
	channels.first = NULL;
	atfork_inherit(&channels.lock);
}

static struct atfork on_fork = {before_fork, after_fork_parent, after_fork_child, NULL, false};

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int channel_open(struct channel *c)
{
	int r = atfork_register(&on_fork);
	if (r < 0)
		return r;
	atfork_lock(&channels.lock);
	c->fd = new_socket();
	c->listener = geteuid();
	c->len = 0;
	r = c->fd < 0 ? -errno : 0;
	if (r == 0) {
		c->next = channels.first;
		channels.first = c;
	}
	atfork_unlock(&channels.lock);
	return r;
}

/* Where the list points to it. */
static struct channel **find_locked(const struct channel *c)
{
	struct channel **at = &channels.first;

	while (*at && *at != c)
		at = &(*at)->next;
	return at;
}

void channel_close(struct channel *c)
{
	atfork_lock(&channels.lock);
	struct channel **at = find_locked(c);
	if (*at)
		*at = c->next;
	int fd = c->fd;
	c->fd = -1; /* first: a handler may fork */
	if (fd >= 0)
		close(fd);
	c->len = 0;
	atfork_unlock(&channels.lock);
}

void channel_move(struct channel *to, struct channel *from)
{
	atfork_lock(&channels.lock);
	struct channel **at = find_locked(from);
	if (*at)
		*at = to;
	*to = *from;
	from->fd = -1;
	from->len = 0;
	atfork_unlock(&channels.lock);
}

/* --- connecting ----------------------------------------------------------- */

/* 0 when ready, -ETIMEDOUT, or -errno. */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};

	if (fd < 0) /* closed in a child, whose handler has returned to here */
		return -ECONNRESET;
	int n = poll(&p, 1, deadline_left(deadline));

	return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

/* The listener could be anybody who was first to bind the path. */
static int listener_of(int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*uid = cred.uid;
	return 0;
}

/* In line with all others whom a full backlog keeps out: who only tries now and
 * then is overtaken by a crowd for ever. With a time-out set a signal ends it,
 * SA_RESTART or not, so it cannot hang. */
static int connect_in_line(int fd, const struct sockaddr_un *addr, int64_t deadline)
{
	int left = deadline < 0 ? 1000 : deadline_left(deadline);
	struct timeval limit = {left / 1000, left % 1000 * 1000 + 1}, none = {0};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	int r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	if (fcntl(fd, F_SETFL, flags) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) < 0)
		return -errno;
	return r;
}

static int connect_until(int fd, const struct sockaddr_un *addr, int64_t deadline)
{
	int r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;

	while (r == -EAGAIN || r == -EINTR) {
		if (deadline_left(deadline) == 0)
			return -ETIMEDOUT;
		r = connect_in_line(fd, addr, deadline);
	}
	return r;
}

static int set_address(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	return 0;
}

int channel_connect(struct channel *c, const char *path, int64_t deadline)
{
	struct sockaddr_un addr;

	int r = set_address(&addr, path);
	if (r == 0)
		r = channel_open(c);
	if (r < 0)
		return r;
	r = connect_until(c->fd, &addr, deadline);
	if (r == 0)
		r = listener_of(c->fd, &c->listener);
	if (r == 0 && !address_trusts(c->listener))
		r = -EPERM;
	if (r < 0)
		channel_close(c);
	return r;
}

int channel_reconnect(struct channel *c, const char *path)
{
	struct sockaddr_un addr;
	uid_t uid = 0;

	int r = set_address(&addr, path);
	if (r < 0)
		return r;
	int fd = new_socket();
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		r = -errno;
	else
		r = listener_of(fd, &uid);
	if (r == 0 && uid != 0 && uid != geteuid() && uid != c->listener)
		r = -EPERM;
	if (r == 0 && dup3(fd, c->fd, O_CLOEXEC) < 0)
		r = -errno;
	close(fd);
	if (r == 0)
		c->len = 0;
	return r;
}

/* --- frames --------------------------------------------------------------- */

static int is_gone(int err)
{
	return err == EPIPE || err == ECONNRESET || err == ENOTCONN || err == EBADF;
}

/* With a descriptor on its first byte. */
static ssize_t send_passing(int fd, const uint8_t *buf, size_t len, int passed)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space),
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &passed, sizeof(int));
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/* send(2) where it will do: the kernel has less to look at. */
static ssize_t send_some(int fd, const uint8_t *buf, size_t len, int passed)
{
	return passed < 0 ? send(fd, buf, len, MSG_NOSIGNAL) : send_passing(fd, buf, len, passed);
}

int channel_send_bytes(
    struct channel *c, const uint8_t *buf, size_t len, int passed, int64_t deadline)
{
	for (size_t sent = 0; sent < len;) {
		ssize_t n = send_some(c->fd, buf + sent, len - sent, passed);
		if (n >= 0) {
			sent += (size_t)n;
			passed = -1;
		} else if (errno == EAGAIN) {
			deadline = deadline_fix(deadline);
			int r = wait_for(c->fd, POLLOUT, deadline);
			/* Half a frame must be finished: only the deadline ends that. */
			if (r < 0 && !(r == -EINTR && sent > 0))
				return r;
		} else if (errno != EINTR) {
			return is_gone(errno) ? -ECONNRESET : -errno;
		}
	}
	return 0;
}

int channel_send(struct channel *c, const ttylock_Envelope *e, int passed, int64_t deadline)
{
	uint8_t buf[FRAME_MAX];
	ssize_t len = frame_encode(e, buf, sizeof(buf));

	return len < 0 ? (int)len : channel_send_bytes(c, buf, (size_t)len, passed, deadline);
}

/* The first frame of what is there: 1, 0 or -EPROTO. */
static int take_frame(struct channel *c, ttylock_Envelope *e)
{
	ssize_t n = frame_decode(c->buf, c->len, e);

	if (n <= 0)
		return n < 0 ? -EPROTO : 0;
	c->len -= (size_t)n;
	memmove(c->buf, c->buf + n, c->len);
	return 1;
}

/* 1: there are new bytes; 0: none now; -ECONNRESET, or -errno. */
static int read_some(struct channel *c, bool *dry)
{
	size_t room = sizeof(c->buf) - c->len;
	ssize_t n = recv(c->fd, c->buf + c->len, room, 0);

	if (n > 0) {
		c->len += (size_t)n;
		*dry = (size_t)n < room;
		return 1;
	}
	if (n == 0)
		return -ECONNRESET;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	return is_gone(errno) ? -ECONNRESET : -errno;
}

int channel_receive(struct channel *c, ttylock_Envelope *e, int64_t deadline)
{
	bool dry;

	for (;;) {
		int r = take_frame(c, e);
		if (r != 0)
			return r;
		r = read_some(c, &dry);
		if (r < 0 || (r == 0 && deadline == 0))
			return r;
		if (r > 0)
			continue;
		r = wait_for(c->fd, POLLIN, deadline);
		if (r < 0)
			return r == -ETIMEDOUT ? 0 : r;
	}
}

int channel_receive_some(struct channel *c, ttylock_Envelope *e, bool *dry)
{
	for (;;) {
		int r = take_frame(c, e);
		if (r != 0 || *dry)
			return r;
		r = read_some(c, dry);
		if (r <= 0)
			return r;
	}
}
