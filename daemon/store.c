#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"

static struct {
	bool there;
	int count;
	char **names; // one for each descriptor from SD_LISTEN_FDS_START; NULL: taken
} store;

/* 1, 0 or -errno: what cannot be looked at may be the one. */
static int is_listener(int fd)
{
	return sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0);
}

static void forget(int i)
{
	free(store.names[i]);
	store.names[i] = NULL;
}

int store_init(int *listener)
{
	int found = 0;

	*listener = -1;
	store.there = getenv("NOTIFY_SOCKET");
	store.count = sd_listen_fds_with_names(0, &store.names);
	if (store.count < 0)
		return store.count;
	/* The other variables are still of use. */
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	for (int i = 0; i < store.count; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		fcntl(fd, F_SETFD, FD_CLOEXEC);
		int rc = is_listener(fd);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		forget(i);
		if (found++ == 0)
			*listener = fd;
	}
	store.there = store.there && found == 1;
	return found > 1 ? -EINVAL : found;
}

bool store_is_there(void)
{
	return store.there;
}

int store_take(const char *name)
{
	for (int i = 0; i < store.count; i++) {
		if (!store.names[i] || strcmp(store.names[i], name) != 0)
			continue;
		forget(i);
		return SD_LISTEN_FDS_START + i;
	}
	return -1;
}

static void notified(int rc)
{
	if (rc >= 0)
		return;
	errno = -rc;
	log_warn("the service manager keeps nothing for us");
}

void store_put(const char *name, int fd)
{
	char text[128];

	if (!store.there)
		return;
	/* FDPOLL=0: it would be dropped at a hangup, or not be taken at all, for a
	 * path-only descriptor cannot be polled. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	notified(sd_pid_notify_with_fds(0, 0, text, &fd, 1));
}

void store_remove(const char *name)
{
	char text[128];

	if (!store.there)
		return;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	notified(sd_notify(0, text));
}

void store_clear(void)
{
	for (int i = 0; i < store.count; i++) {
		if (!store.names[i])
			continue;
		store_remove(store.names[i]);
		close(SD_LISTEN_FDS_START + i);
		forget(i);
	}
	free(store.names);
	store.names = NULL;
	store.count = 0;
}

/* --- terminals --------------------------------------------------------- */

struct name {
	char text[32];
};

static struct name terminal_name(uint64_t id)
{
	struct name n;

	snprintf(n.text, sizeof(n.text), "terminal-%llu", (unsigned long long)id);
	return n;
}

int store_take_terminal(uint64_t id)
{
	struct name n = terminal_name(id);

	return store_take(n.text);
}

void store_put_terminal(uint64_t id, int fd)
{
	struct name n = terminal_name(id);

	store_put(n.text, fd);
}

void store_remove_terminal(uint64_t id)
{
	struct name n = terminal_name(id);

	store_remove(n.text);
}
