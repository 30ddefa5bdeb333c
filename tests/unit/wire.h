/* wire: a daemon as a subprocess, and clients that speak raw frames to it.
 *
 * For tests. Every wait has a deadline; a daemon that does not end well fails
 * the test that stops it.
 */
#ifndef TTYLOCK_TESTS_WIRE_H
#define TTYLOCK_TESTS_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"

#define DEADLINE_MS 10000

/* --- the daemon ---------------------------------------------------------- */

struct daemon {
	pid_t pid;
	char dir[64], socket[80];
	const char *grace;   /* seconds; NULL: 10 */
	const char *program; /* NULL: the one that is tested */
};

static inline const char *daemon_program(void)
{
	const char *given = getenv("TTYLOCKD");

	return given ? given : BUILD_DIR "/ttylockd";
}

static inline void daemon_dir(struct daemon *d)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(
	    d->dir, sizeof(d->dir), "%s/ttylock-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->socket, sizeof(d->socket), "%s/s", d->dir);
}

static inline void daemon_dir_remove(struct daemon *d)
{
	char beside[96];

	snprintf(beside, sizeof(beside), "%s.lock", d->socket);
	unlink(beside);
	snprintf(beside, sizeof(beside), "%s.ledger", d->socket);
	unlink(beside);
	unlink(d->socket);
	assert_int_equal(rmdir(d->dir), 0);
}

/* Waits for one byte, or for the end (0). */
static inline char byte_read(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c = 0;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	return read(fd, &c, 1) == 1 ? c : 0;
}

/* Starts one on d->socket; *ready gets its readiness. */
static inline pid_t daemon_spawn(const struct daemon *d, bool on_demand, int *ready)
{
	int p[2];
	char number[16];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const char *log = getenv("TTYLOCK_TEST_LOG");
		int fd = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!getenv("ASAN_OPTIONS") || log)
			dup2(fd, STDERR_FILENO);
		int w = fcntl(p[1], F_DUPFD, 3);
		snprintf(number, sizeof(number), "%d", w);
		execl(d->program ? d->program : daemon_program(), "ttylockd", "--socket", d->socket, "--ready-fd", number,
		    "--log-level", "debug", "--reclaim-grace",
		    d->grace ? d->grace : "10", on_demand ? "--on-demand" : NULL, NULL);
		_exit(127);
	}
	close(p[1]);
	*ready = p[0];
	return pid;
}

static inline void daemon_start(struct daemon *d, bool on_demand)
{
	int ready;

	d->pid = daemon_spawn(d, on_demand, &ready);
	assert_int_equal(byte_read(ready), 'R');
	close(ready);
}

/* Its exit status, within the deadline. */
static inline int status_within(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void daemon_stop(struct daemon *d)
{
	kill(d->pid, SIGTERM);
	assert_int_equal(status_within(d->pid), 0);
	assert_int_equal(access(d->socket, F_OK), -1);
}

/* --- a client ------------------------------------------------------------- */

struct conn {
	int fd;
	uint8_t rx[4096];
	size_t len;
};

static inline void conn_open(struct conn *c, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	c->len = 0;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

static inline void conn_close(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
}

/* Bytes with up to four descriptors. False when the other end is closed. */
static inline bool conn_send_bytes(
    struct conn *c, const void *bytes, size_t size, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > 0) {
		m.msg_control = control.buf;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
	}
	return sendmsg(c->fd, &m, MSG_NOSIGNAL) == (ssize_t)size;
}

static inline bool conn_send_fd(struct conn *c, const ttylock_Envelope *e, int fd)
{
	uint8_t out[FRAME_MAX];
	ssize_t n = frame_encode(e, out, sizeof(out));

	assert_true(n > 0);
	return conn_send_bytes(c, out, (size_t)n, &fd, fd >= 0);
}

static inline bool conn_send(struct conn *c, const ttylock_Envelope *e)
{
	return conn_send_fd(c, e, -1);
}

/* The next message; false at the end of the connection. */
static inline bool conn_recv(struct conn *c, ttylock_Envelope *e)
{
	for (;;) {
		ssize_t n = frame_decode(c->rx, c->len, e);
		struct pollfd p = {.fd = c->fd, .events = POLLIN};

		assert_true(n >= 0);
		if (n > 0) {
			c->len -= (size_t)n;
			memmove(c->rx, c->rx + n, c->len);
			return true;
		}
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		n = recv(c->fd, c->rx + c->len, sizeof(c->rx) - c->len, 0);
		if (n <= 0)
			return false;
		c->len += (size_t)n;
	}
}

static inline void expect(struct conn *c, pb_size_t kind, ttylock_Envelope *e)
{
	assert_true(conn_recv(c, e));
	assert_int_equal(e->which_body, kind);
}

static inline void expect_closed(struct conn *c)
{
	ttylock_Envelope e;

	while (conn_recv(c, &e))
		assert_int_equal(e.which_body, ttylock_Envelope_error_tag);
	conn_close(c);
}

static inline ttylock_LockStatus expect_status(struct conn *c, ttylock_State state)
{
	ttylock_Envelope e;

	expect(c, ttylock_Envelope_lock_status_tag, &e);
	assert_int_equal(e.body.lock_status.state, state);
	return e.body.lock_status;
}

static inline void expect_error(struct conn *c, ttylock_Code code)
{
	ttylock_Envelope e;

	expect(c, ttylock_Envelope_error_tag, &e);
	assert_int_equal(e.body.error.code, code);
}

static inline ttylock_Envelope envelope(pb_size_t kind)
{
	ttylock_Envelope e;

	memset(&e, 0, sizeof(e));
	e.which_body = kind;
	return e;
}

static inline void say_hello(struct conn *c)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_hello_tag);

	e.body.hello.version = 1;
	assert_true(conn_send(c, &e));
	expect(c, ttylock_Envelope_welcome_tag, &e);
	assert_int_equal(e.body.welcome.version, 1);
}

static inline bool say_open(struct conn *c, uint32_t number, int tty)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_terminal_open_tag);

	e.body.terminal_open.terminal = number;
	return conn_send_fd(c, &e, tty);
}

static inline ttylock_Envelope lock_request(uint64_t request, uint64_t task)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_lock_request_tag);

	e.body.lock_request.request = request;
	e.body.lock_request.has_task = true;
	strcpy(e.body.lock_request.task.name, "task");
	e.body.lock_request.task.id = task;
	e.body.lock_request.reason = ttylock_Reason_REASON_COMMAND;
	strcpy(e.body.lock_request.text, "why");
	return e;
}

static inline void say_lock(struct conn *c, uint64_t request, uint64_t task)
{
	ttylock_Envelope e = lock_request(request, task);

	assert_true(conn_send(c, &e));
}

static inline void say_release(struct conn *c, uint64_t request)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_lock_release_tag);

	e.body.lock_release.request = request;
	assert_true(conn_send(c, &e));
}

static inline void say_number(struct conn *c, pb_size_t kind, uint64_t id)
{
	ttylock_Envelope e = envelope(kind);

	switch (kind) {
	case ttylock_Envelope_force_release_tag:
		e.body.force_release.id = id;
		break;
	case ttylock_Envelope_lock_cancel_tag:
		e.body.lock_cancel.id = id;
		break;
	case ttylock_Envelope_status_query_tag:
		e.body.status_query.query = id;
		break;
	}
	assert_true(conn_send(c, &e));
}

/* Connected, greeted, with that terminal as number 0. */
static inline void conn_ready(struct conn *c, const char *path, int tty)
{
	conn_open(c, path);
	say_hello(c);
	assert_true(say_open(c, 0, tty));
}

/* All requests, in the daemon's order; how many. */
static inline size_t status_all(struct conn *c, ttylock_Entry *entries, size_t max)
{
	size_t n = 0;
	ttylock_Envelope e;

	say_number(c, ttylock_Envelope_status_query_tag, 77);
	for (;;) {
		expect(c, ttylock_Envelope_status_report_tag, &e);
		assert_int_equal(e.body.status_report.query, 77);
		if (e.body.status_report.last)
			return n;
		if (n < max)
			entries[n] = e.body.status_report.entry;
		n++;
	}
}

#endif
