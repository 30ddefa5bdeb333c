/* Every call of the daemon's that can fail does so, at each of its calls in turn,
 * with each of its errors: no crash, no leak, no hang and no second holder; and
 * afterwards it serves whoever comes. One daemon for each, in a fork. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inject.h"
#include "player.h"
#include "tally.h"

int daemon_main(int argc, char **argv);

static char dir[64], socket_path[80];
static int ready[2], tty[2], controlling, file, failures;
static int descriptors; /* of an idle daemon */

/* --- the daemon ------------------------------------------------------------------ */

static pid_t daemon_start(void)
{
	char number[16];

	if (pipe2(ready, O_CLOEXEC) < 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		char log[] = "--log-level", level[] = "debug", name[] = "ttylockd";
		char option[] = "--socket", fd[] = "--ready-fd";
		char *argv[] = {name, option, socket_path, fd, number, log, level, NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_WRONLY);
		if (!getenv("INJECT_LOG"))
			dup2(null, STDERR_FILENO);
		snprintf(number, sizeof(number), "%d", ready[1]);
		signal(SIGTERM, SIG_DFL);
		inject_arm();
		int status = daemon_main(7, argv);
		inject_disarm();
		exit(status);
	}
	close(ready[1]);
	return pid;
}

static bool is_over(pid_t pid, int ms)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	bool over = poll(&p, 1, ms) == 1;

	close(fd);
	return over;
}

/* Whether it serves; it may also have been unable to say so. */
static bool daemon_serves(pid_t pid)
{
	struct pollfd p = {.fd = ready[0], .events = POLLIN};
	struct players one;
	char byte = 0;

	if (poll(&p, 1, PLAYER_DEADLINE_MS) == 1 && read(ready[0], &byte, 1) == 1)
		return byte == 'R';
	while (!is_over(pid, 1)) {
		players_begin(&one);
		bool serves = player_connect(&one, socket_path) != NULL;
		players_end(&one);
		if (serves)
			return true;
	}
	return false;
}

static int descriptors_of(pid_t pid)
{
	char path[32];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static const char *daemon_end(pid_t pid, bool served)
{
	int status;

	if (served)
		kill(pid, SIGTERM);
	if (!is_over(pid, PLAYER_DEADLINE_MS)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return "it does not end";
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return "it crashed";
	if (WEXITSTATUS(status) > 1 && WEXITSTATUS(status) != 64)
		return "it leaks, or worse (exit status)";
	return NULL;
}

/* --- what is done to it -------------------------------------------------------------- */

/* Another process: locks, and dies with its socket in a child's hands. */
static pid_t dying(struct players *all)
{
	int p[2];
	char byte;

	if (pipe2(p, O_CLOEXEC) < 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		struct players own;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		players_begin(&own);
		struct player *me = player_connect(&own, socket_path);
		if (me) {
			player_open(me, 0, tty[0]);
			player_lock(me, 77, 0, NULL);
			players_sync(&own);
		}
		if (write(p[1], "!", 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(p[1]);
	if (read(p[0], &byte, 1) < 0)
		all->fault = "no child";
	close(p[0]);
	return pid;
}

static void order(struct player *p, pb_size_t kind, uint64_t id)
{
	ttylock_Envelope e = {.which_body = kind};

	if (kind == ttylock_Envelope_force_release_tag)
		e.body.force_release.id = id;
	else if (kind == ttylock_Envelope_serve_first_tag)
		e.body.serve_first.id = id;
	else if (kind == ttylock_Envelope_lock_cancel_tag)
		e.body.lock_cancel.id = id;
	else if (kind == ttylock_Envelope_wait_idle_tag)
		e.body.wait_idle = (ttylock_WaitIdle){.query = id, .below = getpid()};
	player_say(p, &e, -1);
}

static void nested(struct players *all, struct player *p, struct player *q)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_terminal_state_tag};
	int base = player_lock(p, 5, 1, NULL);

	players_sync(all);
	player_lock(q, 6, 1, p->requests[base].token);
	e.body.terminal_state.request = p->requests[base].number;
	e.body.terminal_state.saved.size = 100;
	player_say(p, &e, -1);
	players_sync(all);
}

/* A terminal whose other end is gone. */
static void hang_up(struct player *p)
{
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		abort();
	player_open(p, 2, slave);
	close(slave);
	close(master);
	player_lock(p, 8, 2, NULL);
}

static void scene(struct players *all, pid_t daemon)
{
	struct player *p[4];

	for (int i = 0; i < 4; i++) {
		p[i] = player_connect(all, socket_path);
		if (!p[i])
			return;
		player_open(p[i], 0, i == 1 && controlling >= 0 ? controlling : tty[0]);
		player_open(p[i], 1, tty[1]);
	}
	ttylock_Envelope watch = {.which_body = ttylock_Envelope_watch_tag};
	player_say(p[3], &watch, -1);
	for (uint64_t i = 0; i < 3; i++)
		player_lock(p[i], i, 0, NULL);
	order(p[3], ttylock_Envelope_wait_idle_tag, 9);
	players_sync(all);
	order(p[3], ttylock_Envelope_serve_first_tag, p[2]->requests[0].id);
	order(p[3], ttylock_Envelope_force_release_tag, p[0]->requests[0].id);
	players_sync(all);
	nested(all, p[0], p[1]);
	kill(daemon, SIGUSR1);
	player_close(p[0]);
	players_sync(all);
	pid_t other = dying(all);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	player_open(p[3], 2, file);
	hang_up(p[3]);
	players_sync(all);
	player_close(p[2]);
	players_sync(all);
	order(p[3], ttylock_Envelope_lock_cancel_tag, 4711);
	players_sync(all);
}

/* Whoever comes afterwards is served at once. */
static const char *afterwards(void)
{
	struct players all;
	const char *fault = NULL;

	/* The one that the failure hits may be this one. */
	for (int tries = 0; tries < 3; tries++) {
		players_begin(&all);
		struct player *p = player_connect(&all, socket_path);
		if (!p)
			return "nobody listens any more";
		player_open(p, 0, tty[0]);
		int request = player_lock(p, 1, 0, NULL);
		players_sync(&all);
		fault = all.fault   ? all.fault
			: p->fd < 0 ? "turned away"
			: p->requests[request].state != ttylock_State_STATE_GRANTED
			    ? "never granted"
			    : NULL;
		players_end(&all);
		if (!fault)
			return NULL;
	}
	return fault;
}

static const char *settles(pid_t daemon)
{
	for (int i = 0; i < 1000; i++) {
		int n = descriptors_of(daemon);

		if (descriptors == 0 || n <= descriptors)
			return NULL;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return "descriptors leak";
}

static bool is_of_loop(void)
{
	return inject_failed("event_base_dispatch") != NULL;
}

/* --- all of it ------------------------------------------------------------------------- */

static const char *play(void)
{
	struct players all;
	const char *fault = NULL;

	pid_t daemon = daemon_start();
	bool served = daemon_serves(daemon);
	if (served) {
		players_begin(&all);
		scene(&all, daemon);
		fault = all.fault;
		players_end(&all);
		/* Where its loop fails, it ends: with an error, but in good order. */
		bool ended =
		    inject_is_done() && is_over(daemon, is_of_loop() ? PLAYER_DEADLINE_MS : 0);
		if (!fault && !ended)
			fault = afterwards();
		if (!fault && !ended)
			fault = settles(daemon);
		if (!inject_is_ordered())
			descriptors = descriptors_of(daemon);
	}
	close(ready[0]);
	const char *end = daemon_end(daemon, served);
	return fault ? fault : end;
}

static void world_make(void)
{
	int master;

	snprintf(dir, sizeof(dir), "/tmp/ttylock-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	snprintf(socket_path, sizeof(socket_path), "%s/s", dir);
	setsid();
	signal(SIGHUP, SIG_IGN);
	for (int i = 0; i < 2; i++)
		if (openpty(&master, &tty[i], NULL, NULL, NULL) < 0)
			abort();
	ioctl(tty[0], TIOCSCTTY, 0);
	controlling = open("/dev/tty", O_RDWR);
	file = open("/etc/passwd", O_RDONLY);
}

int main(int argc, char **argv)
{
	char path[96];

	inject_init();
	world_make();
	failures = tally_run(argc, argv, play);
	unlink(socket_path);
	snprintf(path, sizeof(path), "%s.lock", socket_path);
	unlink(path);
	rmdir(dir);
	return failures ? 1 : 0;
}
