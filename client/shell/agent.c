#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "signals.h"

#define MESSAGE_MAX 2048
#define ARGS_MAX    32
/* The descriptor number of the gate in what we start. */
#define GATE 3

static int unix_address(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	return 0;
}

int agent_listen(const char *daemon_socket, char *path)
{
	struct sockaddr_un addr;
	const char *slash = strrchr(daemon_socket, '/');

	/* Beside the system's socket we may not bind. */
	if (!slash || access(daemon_socket, W_OK) < 0)
		return -EACCES;
	int n = snprintf(path, sizeof(addr.sun_path), "%.*s/agent-%d.sock",
	    (int)(slash - daemon_socket), daemon_socket, (int)getpid());
	if (n >= (int)sizeof(addr.sun_path) || unix_address(&addr, path) < 0)
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path); /* of a dead process that had our number */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 128) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int is_ours(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	       (cred.uid == geteuid() || cred.uid == 0);
}

static void limit_wait(int fd)
{
	struct timeval tv = {.tv_sec = 2};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/* One message with one descriptor: its length, or -1. */
static ssize_t receive(int fd, char *buf, size_t size, int *passed)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space)};

	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!cm || cm->cmsg_type != SCM_RIGHTS || cm->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(passed, CMSG_DATA(cm), sizeof(int));
	return n;
}

/* "debug", the gate's number, and the arguments of the message. -1: garbage. */
static int build_argv(char **argv, char *buf, size_t len)
{
	static char gate[] = "--gate=3", name[] = "ttylock", debug[] = "debug";
	int argc = 0;

	if (len == 0 || buf[len - 1] != '\0')
		return -1;
	argv[argc++] = name;
	argv[argc++] = debug;
	argv[argc++] = gate;
	for (char *at = buf; at < buf + len; at += strlen(at) + 1) {
		if (argc == ARGS_MAX - 1)
			return -1;
		argv[argc++] = at;
	}
	argv[argc] = NULL;
	return argc;
}

pid_t agent_serve(int listener)
{
	char buf[MESSAGE_MAX], *argv[ARGS_MAX];
	int gate = -1;
	pid_t pid = 0;

	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return 0;
	limit_wait(fd);
	ssize_t n = is_ours(fd) ? receive(fd, buf, sizeof(buf), &gate) : -1;
	if (n > 0 && build_argv(argv, buf, (size_t)n) > 0) {
		pid = fork();
		if (pid == 0) {
			signals_reset();
			/* dup2 to itself would leave it close-on-exec. */
			if (gate == GATE)
				gate = dup(gate);
			if (gate < 0 || dup2(gate, GATE) < 0)
				_exit(1);
			execv("/proc/self/exe", argv);
			_exit(1);
		}
	}
	if (pid > 0)
		send(fd, "", 1, MSG_NOSIGNAL);
	if (gate >= 0)
		close(gate);
	close(fd);
	return pid < 0 ? 0 : pid;
}

static int request(int fd, const struct sockaddr_un *addr, const char *buf, size_t len, int gate)
{
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	char done;

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &gate, sizeof(int));
	limit_wait(fd);
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ||
	    sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		return -errno;
	return recv(fd, &done, 1, 0) == 1 ? 0 : -ECONNRESET;
}

int agent_delegate(int argc, char *const *argv, int gate)
{
	const char *path = secure_getenv("TTYLOCK_AGENT");
	struct sockaddr_un addr;
	char buf[MESSAGE_MAX];
	size_t len = 0;

	if (!path || !*path)
		return -ENOENT;
	int r = unix_address(&addr, path);
	if (r < 0)
		return r;
	for (int i = 0; i < argc; i++) {
		size_t n = strlen(argv[i]) + 1;
		if (len + n > sizeof(buf))
			return -E2BIG;
		memcpy(buf + len, argv[i], n);
		len += n;
	}
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = request(fd, &addr, buf, len, gate);
	close(fd);
	return r;
}
