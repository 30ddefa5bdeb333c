#include "journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "text.h"

static const struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/socket"};
static int sock = -1;

/* systemd.exec(5): JOURNAL_STREAM is the device and inode of the stream that
 * the journal reads. Only if stderr is still that one are we to use it. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

bool journal_open(void)
{
	if (!stderr_is_journal() || access(address.sun_path, W_OK) < 0)
		return false;
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return sock >= 0;
}

void journal_field(struct journal_entry *e, const char *name, const char *value)
{
	/* "NAME=value\n" is the whole format for a value of one line. */
	size_t left = sizeof(e->bytes) - e->used;
	int n = snprintf(e->bytes + e->used, left, "%s=", name);

	if (n < 0 || (size_t)n + strlen(value) + 2 > left)
		return;
	char *start = e->bytes + e->used + n;
	text_clean(start, left - (size_t)n - 1, value, strlen(value));
	size_t length = strlen(start);
	start[length] = '\n';
	e->used += (size_t)n + length + 1;
}

void journal_number(struct journal_entry *e, const char *name, unsigned long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", value);
	journal_field(e, name, text);
}

bool journal_send(const struct journal_entry *e)
{
	ssize_t n;

	/* By its address each time: a journal that was started anew has another socket. */
	do {
		n = sendto(sock, e->bytes, e->used, MSG_NOSIGNAL | MSG_DONTWAIT,
		    (const struct sockaddr *)&address, sizeof(address));
	} while (n < 0 && errno == EINTR);
	return n >= 0;
}
