#include "wire.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"

void wire_send(struct wire *w, const ttylock_Envelope *e, int passed)
{
	uint8_t buf[FRAME_MAX];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	ssize_t n = frame_encode(e, buf, sizeof(buf));
	struct iovec iov = {.iov_base = buf, .iov_len = (size_t)n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (passed >= 0) {
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &passed, sizeof(int));
	}
	if (n < 0 || sendmsg(w->fd, &m, MSG_NOSIGNAL) != n)
		die("cannot send to the daemon", errno);
}

void wire_receive(struct wire *w, ttylock_Envelope *e)
{
	for (;;) {
		ssize_t n = frame_decode(w->rx, w->len, e);

		if (n < 0)
			die("the daemon sent a bad frame", (int)-n);
		if (n > 0) {
			w->len -= (size_t)n;
			w->last = (size_t)n;
			memmove(w->rx, w->rx + n, w->len);
			return;
		}
		n = read(w->fd, w->rx + w->len, sizeof(w->rx) - w->len);
		if (n <= 0)
			die("the daemon has hung up", n < 0 ? errno : 0);
		w->len += (size_t)n;
	}
}

void wire_open(struct wire *w, const char *socket_path, int tty)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	if (strlen(socket_path) >= sizeof(address.sun_path))
		die("socket: path too long", 0);
	strcpy(address.sun_path, socket_path);
	w->len = 0;
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(socket_path, errno);
	e.which_body = ttylock_Envelope_hello_tag;
	e.body.hello.version = 1;
	wire_send(w, &e, -1);
	wire_receive(w, &e);
	if (e.which_body != ttylock_Envelope_welcome_tag)
		die(e.which_body == ttylock_Envelope_error_tag ? e.body.error.text
							       : "the daemon does not welcome us",
		    0);
	e = (ttylock_Envelope){.which_body = ttylock_Envelope_terminal_open_tag};
	wire_send(w, &e, tty);
}

void wire_close(struct wire *w)
{
	close(w->fd);
}

bool wire_request(struct wire *w, uint64_t number)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_request_tag};
	ttylock_LockRequest *r = &e.body.lock_request;

	r->request = number;
	r->has_task = true;
	strcpy(r->task.name, "waiter");
	r->task.id = (uint64_t)w->fd << 32 | number;
	r->reason = ttylock_Reason_REASON_COMMAND;
	strcpy(r->text, "bench");
	wire_send(w, &e, -1);
	wire_receive(w, &e);
	if (e.which_body != ttylock_Envelope_lock_status_tag ||
	    e.body.lock_status.state == ttylock_State_STATE_REFUSED)
		die("the daemon refuses a request", 0);
	return e.body.lock_status.state == ttylock_State_STATE_GRANTED;
}

void wire_serve_first(struct wire *w, uint64_t id)
{
	ttylock_Envelope e;

	do {
		e = (ttylock_Envelope){.which_body = ttylock_Envelope_serve_first_tag};
		e.body.serve_first.id = id;
		wire_send(w, &e, -1);
		wire_receive(w, &e);
	} while (e.which_body != ttylock_Envelope_lock_status_tag);
}

void wire_settle(struct wire *w)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_serve_first_tag};

	e.body.serve_first.id = UINT64_MAX;
	wire_send(w, &e, -1);
	wire_receive(w, &e);
}
