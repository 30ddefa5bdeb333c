#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <readline/history.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_MAX 1000

/* As mkdir -p, each 0700, for all that comes before the last slash. */
static int make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int r = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_path(char out[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (state && *state == '/') /* a relative one is to be ignored, it says */
		n = snprintf(out, PATH_MAX, "%s/ttylock/history", state);
	else if (home && *home == '/')
		n = snprintf(out, PATH_MAX, "%s/.local/state/ttylock/history", home);
	else
		return -ENOENT;
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* There, a file, and 0600 also if somebody made it otherwise. */
static int make_file(const char *path)
{
	struct stat st;

	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
			fchmod(fd, 0600) == 0
		    ? 0
		    : -EACCES;
	close(fd);
	return r;
}

void history_open(struct history *h)
{
	using_history();
	stifle_history(LINES_MAX);
	if (find_path(h->path) < 0 || make_directories(h->path) < 0 || make_file(h->path) < 0) {
		h->path[0] = '\0';
		return;
	}
	history_truncate_file(h->path, LINES_MAX);
	make_file(h->path); /* that may have made a new one */
	read_history(h->path);
}

void history_keep(struct history *h, const char *line)
{
	HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;

	if (!*line || *line == ' ' || (last && !strcmp(last->line, line)))
		return;
	add_history(line);
	if (h->path[0])
		append_history(1, h->path);
}
