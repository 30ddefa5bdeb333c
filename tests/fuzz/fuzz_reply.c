/* links: client/shell/feed.o tests/fuzz/message.o tests/fuzz/library.a */
/* links: proto/frame.o proto/ttylock.pb.o */
/* links: -Wl,--wrap=socket,--wrap=connect,--wrap=getsockopt,--wrap=sendmsg,--wrap=recv */
/* links: -Wl,--wrap=send,--wrap=poll,--wrap=shutdown,--wrap=close,--wrap=nanosleep */
/* links: -Wl,--wrap=clock_gettime */
/* A daemon that says what it likes, in pieces of any size, to the client library: to
 * a link with requests, to a list of requests, and to the command's feed. No bytes
 * crash it, keep it waiting or leave a string without an end; and how they are cut
 * makes no difference. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "message.h"

#include "../../client/lib/link.h"
#include "../../client/lib/lock.h"
#include "../../client/shell/feed.h"

enum { FD = 1000, REQUESTS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* The daemon. */
static struct {
	const uint8_t *data;
	size_t size, at;
	size_t piece; /* at most so many bytes at a time */
	bool breath;  /* the next time there is nothing */
	uint64_t now; /* ms */
	bool hangs_up;
} daemon_;

/* --- its socket ------------------------------------------------------------------- */

int __wrap_socket(int domain, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_shutdown(int fd, int how);
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_nanosleep(const struct timespec *req, struct timespec *rem);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

int __wrap_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	return FD;
}

int __wrap_connect(int fd, const struct sockaddr *a, socklen_t len)
{
	(void)fd;
	(void)a;
	(void)len;
	return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	struct ucred *cred = value;

	(void)fd;
	(void)level;
	(void)name;
	*cred = (struct ucred){.uid = geteuid(), .pid = 1};
	*len = sizeof(*cred);
	return 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	(void)fd;
	(void)flags;
	return (ssize_t)m->msg_iov->iov_len;
}

ssize_t __wrap_send(int fd, const void *buf, size_t size, int flags)
{
	(void)fd;
	(void)buf;
	(void)flags;
	return (ssize_t)size;
}

ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags)
{
	size_t n = daemon_.size - daemon_.at;

	(void)fd;
	(void)flags;
	if (size == 0)
		abort(); /* it would take that for the end */
	if (n == 0 && daemon_.hangs_up)
		return 0;
	if (n == 0 || daemon_.breath) {
		daemon_.breath = false;
		errno = EAGAIN;
		return -1;
	}
	n = n < daemon_.piece ? n : daemon_.piece;
	n = n < size ? n : size;
	memcpy(buf, daemon_.data + daemon_.at, n);
	daemon_.at += n;
	daemon_.breath = true;
	return (ssize_t)n;
}

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
	if (n == 0 || timeout == 0 || (daemon_.at == daemon_.size && !daemon_.hangs_up)) {
		daemon_.now += (uint64_t)timeout;
		return 0;
	}
	p->revents = p->events;
	return 1;
}

int __wrap_shutdown(int fd, int how)
{
	(void)fd;
	(void)how;
	return 0;
}

int __wrap_close(int fd)
{
	return fd == FD ? 0 : __real_close(fd);
}

int __wrap_nanosleep(const struct timespec *req, struct timespec *rem)
{
	(void)req;
	(void)rem;
	daemon_.now += 100;
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){(time_t)(daemon_.now / 1000), (long)(daemon_.now % 1000) * 1000000};
	return 0;
}

static void daemon_says(const uint8_t *data, size_t size, size_t piece, bool hangs_up)
{
	daemon_.data = data;
	daemon_.size = size;
	daemon_.at = 0;
	daemon_.piece = piece;
	daemon_.breath = false;
	daemon_.hangs_up = hangs_up;
}

/* --- who listens ---------------------------------------------------------------------- */

static void check(bool good)
{
	if (!good)
		abort();
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static struct link link_;

static void link_begin(void)
{
	link_ = (struct link){.owner = getpid(),
	    .stir = -1,
	    .channel.fd = FD,
	    .welcomed = true,
	    .users = 1,
	    .socket = "/s",
	    .pollable = POLLABLE_INIT};
	pthread_mutex_init(&link_.lock, NULL);
	for (int i = 0; i < LINK_TERMINALS; i++)
		link_.terminals[i].tty = -1;
	link_.terminals[0].users = 1;
	for (int i = 0; i < REQUESTS; i++) {
		struct request *q = requests_add(&link_.requests);

		q->handle = &link_;
		q->number = ++link_.requests.last_number;
	}
}

static void requests_check(int r)
{
	struct ttylock_status status;

	for (const struct request *q = link_.requests.first; q; q = q->next) {
		check(q->state >= TTYLOCK_QUEUED && q->state <= TTYLOCK_LOST);
		check(r >= 0 || q->state == TTYLOCK_LOST);
		check(q->last.token.size <= 16 && q->last.saved.size <= 192);
		check(ends(q->last.terminal, sizeof(q->last.terminal)));
		check(ends(q->last.by, sizeof(q->last.by)));
		request_describe(q, &status);
		check(ends(status.holder_comm, sizeof(status.holder_comm)));
		check(ends(status.holder_text, sizeof(status.holder_text)));
	}
}

/* How the requests are after all that; *up: it has been the same connection all the
 * time. */
static uint64_t link_hears(const uint8_t *data, size_t size, size_t piece, bool hangs_up, bool *up)
{
	uint64_t sum = 0;
	int r, rounds = 0;

	daemon_says(data, size, piece, hangs_up);
	link_begin();
	do {
		r = link_drain(&link_);
		check(r >= 0 || r == -ECONNRESET);
		requests_check(r);
		*up = *up && !link_.down && !link_.lost;
		daemon_.now += link_.down ? 1000 : 0;
		check(rounds++ < 10000);
	} while (r >= 0 && (daemon_.at < daemon_.size || (hangs_up && !link_.lost)));
	for (const struct request *q = link_.requests.first; q; q = q->next)
		sum = sum * 31 + (uint64_t)q->state * 7 + q->last.id + (uint64_t)q->error;
	requests_clear(&link_.requests);
	return sum;
}

/* How it is cut makes no difference, as long as nobody hangs up: what has come of a
 * connection is forgotten with it. */
static void link_hears_twice(const uint8_t *data, size_t size, size_t piece, bool hangs_up)
{
	bool up = !hangs_up;
	uint64_t cut = link_hears(data, size, piece, hangs_up, &up);
	uint64_t whole = link_hears(data, size, SIZE_MAX, hangs_up, &up);

	check(!up || cut == whole);
}

static int entry_check(const struct ttylock_entry *e, void *arg)
{
	(void)arg;
	check(strlen(e->comm) < 32 && strlen(e->task_name) < 64 && strlen(e->text) < 256);
	check(strlen(e->terminal) < 64 && strlen(e->subject_comm) < 32);
	return 0;
}

static void list_hears(const uint8_t *data, size_t size, size_t piece, bool hangs_up)
{
	struct ttylock t = {.link = &link_};

	daemon_says(data, size, piece, hangs_up);
	link_ = (struct link){.owner = getpid(), .socket = "/s", .stir = -1};
	int r = ttylock_list(&t, 1000, entry_check, NULL);
	check(r <= 0);
}

static void feed_hears(const uint8_t *data, size_t size, size_t piece, bool hangs_up)
{
	struct feed f = {0};
	struct listing l;

	daemon_says(data, size, piece, hangs_up);
	if (feed_open(&f, 0) < 0)
		return;
	if (feed_list(&f, &l, 1000) == 0)
		check(feed_order(&f, FEED_CANCEL, 1) <= 0);
	listing_free(&l);
	feed_close(&f);
}

/* Behind the two bytes that say how: frames of the daemon's. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	uint8_t frame[FRAME_MAX];
	size_t n = message_frame(frame, sizeof(frame), seed);

	if (seed % 4 == 0 || size < 2)
		return LLVMFuzzerMutate(data, size, max);
	size_t keep = seed % 4 == 1 ? 2 : size;
	if (n > max - keep)
		return LLVMFuzzerMutate(data, size, max);
	memcpy(data + keep, frame, n);
	return keep + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t piece = 1 + (data[1] & 0x7f);
	bool hangs_up = data[1] & 0x80;

	setenv("TTYLOCK_SOCKET", "/s", 1);
	switch (data[0] % 4) {
	case 0:
		list_hears(data + 2, size - 2, piece, true);
		break;
	case 1:
		feed_hears(data + 2, size - 2, piece, true);
		break;
	default:
		link_hears_twice(data + 2, size - 2, piece, hangs_up);
		break;
	}
	return 0;
}
