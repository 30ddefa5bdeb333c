#include "floor.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define FRAME_ROOM 2048
#define PIECE	   65536

static void put(int fd, const void *buf, size_t size)
{
	if (write(fd, buf, size) != (ssize_t)size)
		_exit(0);
}

static void get(int fd, void *buf, size_t size)
{
	for (size_t n = 0; n < size;) {
		ssize_t r = read(fd, (char *)buf + n, size - n);
		if (r <= 0)
			_exit(0); /* the other side has ended */
		n += (size_t)r;
	}
}

static void serve_echo(const struct floor *f, int fd)
{
	char buf[FRAME_ROOM] = {0};

	for (;;) {
		get(fd, buf, f->asked);
		put(fd, buf, f->answered);
	}
}

static void serve_looped(const struct floor *f, int fd)
{
	char buf[FRAME_ROOM] = {0};
	struct epoll_event event = {.events = EPOLLIN};
	int loop = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
	for (;;) {
		epoll_wait(loop, &event, 1, -1);
		get(fd, buf, f->asked);
		put(fd, buf, f->answered);
	}
}

static void serve_stream(const struct floor *f, int fd)
{
	static char buf[PIECE];
	size_t left;

	(void)f;
	for (;;) {
		get(fd, &left, sizeof(left));
		for (; left > 0; left -= left < PIECE ? left : PIECE)
			put(fd, buf, left < PIECE ? left : PIECE);
	}
}

static int serve(const struct floor *f, void (*server)(const struct floor *f, int fd))
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair", errno);
	pid_t pid = fork();
	if (pid < 0)
		die("fork", errno);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		server(f, pair[1]);
	}
	close(pair[1]);
	return pair[0];
}

/* To and fro, as two that hand something to each other need it. */
static void serve_relay(struct floor *f)
{
	int a[2], b[2];
	char buf[FRAME_ROOM] = {0};

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b) < 0)
		die("socketpair", errno);
	pid_t pid = fork();
	if (pid < 0)
		die("fork", errno);
	while (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		get(a[1], buf, f->asked);
		put(b[1], buf, f->answered);
		get(b[1], buf, f->asked);
		put(a[1], buf, f->answered);
	}
	close(a[1]);
	close(b[1]);
	f->relay[0] = a[0];
	f->relay[1] = b[0];
}

void floor_start(struct floor *f, size_t asked, size_t answered)
{
	f->asked = asked;
	f->answered = answered;
	serve_relay(f);
	f->echo = serve(f, serve_echo);
	f->looped = serve(f, serve_looped);
	f->stream = serve(f, serve_stream);
}

void floor_stop(struct floor *f)
{
	close(f->echo);
	close(f->looped);
	close(f->stream);
	close(f->relay[0]);
	close(f->relay[1]);
}

void floor_round_trip(const struct floor *f, bool looped)
{
	char buf[FRAME_ROOM] = {0};
	int fd = looped ? f->looped : f->echo;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	put(fd, buf, f->asked);
	if (looped && poll(&p, 1, -1) != 1)
		die("poll", errno);
	get(fd, buf, f->answered);
}

void floor_stream(const struct floor *f, size_t bytes)
{
	static char buf[PIECE];

	put(f->stream, &bytes, sizeof(bytes));
	for (; bytes > 0; bytes -= bytes < PIECE ? bytes : PIECE)
		get(f->stream, buf, bytes < PIECE ? bytes : PIECE);
}

void floor_give(const struct floor *f, int end)
{
	char buf[FRAME_ROOM] = {0};

	put(f->relay[end], buf, f->asked);
}

void floor_take(const struct floor *f, int end)
{
	char buf[FRAME_ROOM];

	get(f->relay[end], buf, f->answered);
}
