#include "launch.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "deadline.h"

/* dir must end in a slash. */
static bool is_daemon(char out[PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s%s", dir, name);

	return n < PATH_MAX && access(out, X_OK) == 0;
}

static bool is_beside(char out[PATH_MAX], const char *file)
{
	char dir[PATH_MAX];

	if (!realpath(file, dir))
		return false;
	*(strrchr(dir, '/') + 1) = '\0';
	return is_daemon(out, dir, "ttylockd") || is_daemon(out, dir, "../sbin/ttylockd");
}

/* ttylockd beside the object that this code is in (so that a build tree works
 * from where it is), or where an installation has it. */
static int find_daemon(char out[PATH_MAX])
{
	Dl_info info;

	if (dladdr((void *)(uintptr_t)&launch_daemon, &info) && strchr(info.dli_fname, '/') &&
	    is_beside(out, info.dli_fname))
		return 0;
	if (is_beside(out, "/proc/self/exe"))
		return 0;
	return is_daemon(out, "/usr/local/sbin/", "ttylockd") ||
		       is_daemon(out, "/usr/sbin/", "ttylockd")
		   ? 0
		   : -ENOENT;
}

/* For ever. */
static int become_owner(const struct addresses *a)
{
	if (setgroups(0, NULL) < 0 || setresgid(a->group, a->group, a->group) < 0 ||
	    setresuid(a->owner, a->owner, a->owner) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

/* What the daemon does not inherit: our terminal, descriptors, signals. Runs
 * between fork and exec, perhaps of a threaded host: async-signal-safe calls
 * alone. */
static void become_daemon(
    const char *exe, const struct addresses *a, const char *path, const char *log, int ready)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	char *const empty[] = {NULL};
	bool other = a->owner != geteuid();
	sigset_t none;

	if (other && (become_owner(a) < 0 || address_prepare(path) < 0))
		_exit(1);
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	int null = open("/dev/null", O_RDWR);
	int err = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY, 0600);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(err < 0 ? null : err, 2) < 0)
		_exit(1);
	/* Out of the way of 3, which is then the only other one it has. */
	int kept = fcntl(ready, F_DUPFD, 10);
	if (kept < 0 || dup2(kept, 3) < 0)
		_exit(1);
	close_range(4, ~0u, 0);
	/* Its process is open to that user: nothing of root's may be in it. */
	execle(exe, "ttylockd", "--socket", path, "--on-demand", "--ready-fd", "3", (char *)NULL,
	    other ? empty : environ);
	_exit(1);
}

/* The daemon writes one byte when somebody listens at the socket, be it
 * itself or another; its end without a byte is a failure. */
static int wait_ready(int fd, int64_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char byte;
		int n = poll(&p, 1, deadline_left(deadline));

		if (n == 0)
			return -ETIMEDOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			ssize_t got = read(fd, &byte, 1);
			if (got >= 0)
				return got == 1 ? 0 : -ECHILD;
			if (errno != EINTR)
				return -errno;
		}
	}
}

int launch_daemon(const struct addresses *a, int64_t deadline)
{
	const char *path = a->path[a->count - 1];
	char exe[PATH_MAX], log[ADDRESS_MAX + 16];
	int ready[2];

	/* Root's tree knows the service's socket; nobody else is to be found there. */
	if (!strcmp(path, ADDRESS_SYSTEM) || addresses_have_record(a))
		return -EHOSTDOWN;
	int r = find_daemon(exe);
	if (r == 0 && a->owner == geteuid())
		r = address_prepare(path);
	if (r < 0)
		return r;
	snprintf(log, sizeof(log), "%.*sttylockd.log", (int)(strrchr(path, '/') + 1 - path), path);
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;

	pid_t middle = fork();
	if (middle == 0) {
		pid_t daemon = fork();
		if (daemon == 0)
			become_daemon(exe, a, path, log, ready[1]);
		_exit(daemon < 0);
	}
	close(ready[1]);
	if (middle < 0) {
		r = -errno;
	} else {
		while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
			;
		r = wait_ready(ready[0], deadline);
	}
	close(ready[0]);
	return r;
}
