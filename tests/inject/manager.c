#include "manager.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "past.h"

enum { PASSED_MAX = 16, FIRST_PASSED = 3, DESCRIPTORS_AT_ONCE = 8 };

static struct {
	int notified, journal;
	int passed[PASSED_MAX];
	char names[PASSED_MAX * 32];
	int count;
	pthread_t reader;
	bool ended;
} manager;

/* --- what it is told --------------------------------------------------------------------- */

static void take(int sock)
{
	char bytes[8192];
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(DESCRIPTORS_AT_ONCE * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.buf,
	    .msg_controllen = sizeof(control.buf)};

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
		return;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(fd), sizeof(fd));
			close(fd);
		}
	}
}

static void *read_all(void *arg)
{
	struct pollfd fds[] = {
	    {.fd = manager.notified, .events = POLLIN}, {.fd = manager.journal, .events = POLLIN}};

	while (!__atomic_load_n(&manager.ended, __ATOMIC_ACQUIRE)) {
		poll(fds, 2, -1);
		take(manager.notified);
		if (manager.journal >= 0)
			take(manager.journal);
	}
	return arg;
}

static int listen_for_messages(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		abort();
	return fd;
}

void manager_make(void)
{
	manager.notified = listen_for_messages(stage_path(".notify"));
	manager.journal =
	    stage.is_private ? listen_for_messages("/run/systemd/journal/socket") : -1;
	if (pthread_create(&manager.reader, NULL, read_all, NULL) != 0)
		abort();
}

void manager_end(void)
{
	__atomic_store_n(&manager.ended, true, __ATOMIC_RELEASE);
	/* Not by pthread_cancel(): the poll() of twist.c is no cancellation point. */
	shutdown(manager.notified, SHUT_RD);
	pthread_join(manager.reader, NULL);
	close(manager.notified);
	if (manager.journal >= 0)
		close(manager.journal);
}

/* --- what it passes ------------------------------------------------------------------------ */

static void keep(const char *name, int fd)
{
	size_t used = strlen(manager.names);

	manager.passed[manager.count++] = fd;
	snprintf(manager.names + used, sizeof(manager.names) - used, "%s%s", used ? ":" : "", name);
}

void manager_begins(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", stage.socket);
	unlink(a.sun_path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0)
		abort();
	keep("ttylockd.socket", fd);
}

static void terminals_keep(void)
{
	const uint64_t *ids = past_terminals();
	char name[32];

	/* In the order in which they were shown. */
	for (int i = 0; i < 2 && ids[i]; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", stage.tty[i]);
		snprintf(name, sizeof(name), "terminal-%llu", (unsigned long long)ids[i]);
		keep(name, open(path, O_PATH | O_CLOEXEC));
	}
}

static void past_keep(bool other)
{
	manager_begins();
	keep("ledger", past_memory(other));
	terminals_keep();
	keep("nobody", open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void manager_has_past(void)
{
	past_keep(false);
}

void manager_has_other_past(void)
{
	past_keep(true);
}

void manager_leaves(void)
{
	for (int i = 0; i < manager.count; i++)
		close(manager.passed[i]);
	manager.count = 0;
	manager.names[0] = '\0';
}

void manager_forgets(void)
{
	manager_leaves();
	unlink(stage.socket);
	unlink(stage_beside("ledger"));
}

void manager_passes(void)
{
	char number[16];

	/* Above where they are to be first. */
	for (int i = 0; i < manager.count; i++)
		manager.passed[i] = fcntl(manager.passed[i], F_DUPFD, 60);
	for (int i = 0; i < manager.count; i++)
		dup2(manager.passed[i], FIRST_PASSED + i);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("WATCHDOG_PID", number, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	snprintf(number, sizeof(number), "%d", manager.count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", manager.names, 1);
	setenv("NOTIFY_SOCKET", stage_path(".notify"), 1);
}

void manager_passes_directory(void)
{
	manager_passes();
	setenv("RUNTIME_DIRECTORY", stage.dir, 1);
}

void manager_reads_log(void)
{
	char stream[64];
	struct stat st;

	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
}
