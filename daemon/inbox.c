#include "inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "discard.h"
#include "proof.h"

/* All receive into this. Only one with half a frame, or one that is not handled any
 * further now, has memory of its own. */
static uint8_t shared[FRAME_MAX];

void inbox_deinit(struct inbox *in)
{
	if (in->bytes != shared)
		free(in->bytes);
	in->bytes = NULL;
	in->length = 0;
}

/* Closes fd. 0 and c's proof, or -errno. */
static int proof_receive(struct caller *c, int fd)
{
	struct proof *p = malloc(sizeof(*p));

	if (!p) {
		discard(fd);
		return -ENOMEM;
	}
	int rc = proof_take(fd, c->cred.pid, c->cred.uid, p);
	if (rc < 0)
		free(p);
	else
		c->proof = p;
	return rc;
}

/* False when the peer may not have sent that. The descriptors are ours in any
 * case, and each is dealt with. */
static bool descriptors_take(struct inbox *in, struct caller *c, struct msghdr *m)
{
	bool good = !(m->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			if (!good || c->proof_pending) {
				discard(fd);
				good = false;
				continue;
			}
			c->proof_error = proof_receive(c, fd);
			c->proof_pending = true;
			in->proof_end = SIZE_MAX; /* set once the length is known */
		}
	}
	return good;
}

/* How much to read at most. While a descriptor is pending, no further than to
 * the end of the frame that may own it: beyond could be the next descriptor. */
static size_t room(const struct inbox *in, const struct caller *c)
{
	size_t left = FRAME_MAX - in->length;

	if (!c->proof_pending || in->length == 0)
		return c->proof_pending ? 1 : left;
	if (in->length == 1 && (in->bytes[0] & 0x80))
		return 1;
	size_t body = in->bytes[0] & 0x80
			  ? (size_t)(in->bytes[0] & 0x7f) | (size_t)in->bytes[1] << 7
			  : in->bytes[0];
	size_t frame = (in->bytes[0] & 0x80 ? 2 : 1) + body;
	return frame - in->length < left ? frame - in->length : left;
}

int inbox_receive(struct inbox *in, int sock, struct caller *c)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	size_t max = room(in, c);
	uint8_t *bytes = in->length > 0 ? in->bytes : shared;
	struct iovec iov = {.iov_base = bytes + in->length, .iov_len = max};
	struct msghdr m = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.buf,
	    .msg_controllen = CMSG_LEN(sizeof(int)), /* CMSG_SPACE has room for two */
	};
	ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	/* Where the kernel has no memory now, it may soon. */
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOMEM
			   ? 0
			   : -errno;
	if (n == 0)
		return -EPIPE;
	if (!descriptors_take(in, c, &m))
		return -EPROTO;
	in->bytes = bytes;
	in->length += (size_t)n;
	if (c->proof_pending && in->proof_end == SIZE_MAX)
		in->proof_end = in->length;
	in->filled = (size_t)n == max;
	return 1;
}

int inbox_took(struct inbox *in, size_t size)
{
	in->length -= size;
	in->proof_end = in->proof_end > size ? in->proof_end - size : 0;
	if (in->length == 0) {
		inbox_deinit(in);
		return 0;
	}
	uint8_t *own = in->bytes == shared ? malloc(FRAME_MAX) : in->bytes;
	if (!own) {
		inbox_deinit(in);
		return -ENOMEM;
	}
	memmove(own, in->bytes + size, in->length);
	in->bytes = own;
	return 0;
}
