#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../lib/address.h"
#include "../lib/deadline.h"
#include "../lib/terminal.h"

/* A dump whose terminal stands still (Ctrl-S) must not keep all others back. */
#define LOCK_MS 5000
/* Files of processes that are gone: somebody may want to read them tomorrow. */
#define KEPT_S (7 * 24 * 3600)

/* --- the runtime directory -------------------------------------------------- */

/* Its descriptor, or -errno. */
static int open_directory(void)
{
	struct addresses a;
	int r = addresses_find(&a);

	if (r == 0)
		r = address_prepare(a.path[a.count - 1]);
	if (r < 0) {
		/* The system's daemon, say, or that of the terminal's owner. */
		a.count = 1;
		r = address_own(a.path[0]);
		if (r == 0)
			r = address_prepare(a.path[0]);
	}
	if (r < 0)
		return r;
	char *path = a.path[a.count - 1];
	*strrchr(path, '/') = '\0';
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Of a process that is gone; also what one left half done. */
static bool is_old(int dir, const char *name)
{
	struct stat st;
	int pid, writer, end = 0;

	if (sscanf(name, "stack-%d.txt%n", &pid, &end) != 1 || name[end] || !end) {
		end = 0;
		if (sscanf(name, ".stack-%d.%d%n", &pid, &writer, &end) != 2 || name[end] || !end)
			return false;
	}
	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH &&
	       fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       time(NULL) - st.st_mtime > KEPT_S;
}

static void remove_old(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *all = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!all && fd >= 0)
		close(fd);
	while (all && (e = readdir(all)))
		if (is_old(dir, e->d_name))
			unlinkat(dir, e->d_name, 0);
	if (all)
		closedir(all);
}

/* Whole or not at all: somebody may be reading the last one. */
static void write_file(int dir, const char *text, size_t len, pid_t pid)
{
	char name[64], temporary[64];

	snprintf(name, sizeof(name), "stack-%d.txt", (int)pid);
	snprintf(temporary, sizeof(temporary), ".stack-%d.%d", (int)pid, (int)getpid());
	int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	bool whole = write_all(fd, text, len) == 0;
	close(fd);
	if (!whole || renameat(dir, temporary, dir, name) < 0)
		unlinkat(dir, temporary, 0);
}

/* --- the terminal ----------------------------------------------------------- */

static int take_lock(int dir)
{
	int64_t deadline = deadline_in(LOCK_MS);
	int fd = openat(dir, "dump.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && deadline_left(deadline) > 0)
		poll(NULL, 0, 10);
	return fd;
}

/* Whether the terminal takes a newline for no more than that: somebody's line
 * editor has it. */
static bool is_raw(int fd)
{
	struct termios t;

	return tcgetattr(fd, &t) == 0 && !((t.c_oflag & OPOST) && (t.c_oflag & ONLCR));
}

static char *with_returns(const char *text, size_t *len)
{
	char *out = malloc(2 * *len + 1), *to = out;

	for (size_t i = 0; out && i < *len; i++) {
		if (text[i] == '\n')
			*to++ = '\r';
		*to++ = text[i];
	}
	if (out)
		*len = (size_t)(to - out);
	return out;
}

/* The kernel lets nobody else in between within one write to a terminal. */
static int write_terminal(int fd, const char *text, size_t len)
{
	char *raw = is_raw(fd) ? with_returns(text, &len) : NULL;
	int r = write_all(fd, raw ? raw : text, len);

	free(raw);
	return r;
}

int report_write(const char *text, size_t len, pid_t pid)
{
	sigset_t ttou;
	int dir = open_directory(), tty = terminal_open_of_tree();

	/* From the background, `stty tostop` would stop the whole job. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, NULL);
	if (dir >= 0) {
		write_file(dir, text, len, pid);
		remove_old(dir);
	}
	int lock = dir < 0 ? -1 : take_lock(dir);
	int r = tty >= 0 ? write_terminal(tty, text, len) : write_all(STDERR_FILENO, text, len);
	if (lock >= 0)
		close(lock);
	if (tty >= 0)
		close(tty);
	if (dir >= 0)
		close(dir);
	return r;
}
