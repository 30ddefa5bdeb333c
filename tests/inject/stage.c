#include "stage.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject.h"
#include "../outside.h"

int daemon_main(int argc, char **argv);
/* So that the sanitizers' runtime finds them. */
#define EXPORTED __attribute__((visibility("default")))
EXPORTED const char *__asan_default_options(void);
EXPORTED const char *__ubsan_default_options(void);

/* No end of the daemon's own. */
#define BAD_END	       "exitcode=99"
#define ENDS_WITHIN_MS 100

const char *__asan_default_options(void)
{
	return BAD_END;
}

const char *__ubsan_default_options(void)
{
	return BAD_END;
}

struct stage stage;

const char *stage_path(const char *end)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s%s", stage.socket, end);
	return path;
}

const char *stage_beside(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", stage.dir, name);
	return path;
}

/* --- the daemon ------------------------------------------------------------------------ */

static void daemon_run(const struct scene *s, bool armed, int ready)
{
	char number[16], socket[96], option[] = "--socket", fd[] = "--ready-fd";
	char log[] = "--log-level", level[] = "debug", name[] = "ttylockd";
	char *argv[16] = {name, option, socket, fd, number, log, level};
	int argc = 7;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	snprintf(socket, sizeof(socket), "%s", stage.socket);
	snprintf(number, sizeof(number), "%d", ready);
	dup2(open(stage_path(".log"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
	    STDERR_FILENO);
	for (int i = 0; i < 4 && s->options[i]; i++)
		argv[argc++] = strdup(s->options[i]);
	if (s->inside)
		s->inside();
	if (armed)
		inject_arm();
	int status = daemon_main(argc, argv);
	inject_disarm();
	for (int i = 7; i < argc; i++)
		free(argv[i]);
	exit(status);
}

pid_t stage_daemon(const struct scene *s, bool armed, int *ready)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		abort();
	/* Above what a service manager passes. */
	int high = fcntl(p[1], F_DUPFD, 40);
	close(p[1]);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		daemon_run(s, armed, high);
	close(high);
	*ready = p[0];
	return pid;
}

bool stage_serves(const struct scene *s, pid_t daemon, int ready)
{
	struct pollfd p = {.fd = ready, .events = POLLIN};
	struct players one;
	char byte = 0;

	if (poll(&p, 1, PLAYER_DEADLINE_MS) == 1 && read(ready, &byte, 1) == 1)
		return byte == 'R';
	/* It ends, most probably. */
	while (!outside_is_over(daemon, ENDS_WITHIN_MS)) {
		if (s->end == STAGE_YIELDS)
			continue;
		/* One that listens may end yet before it answers. */
		players_begin(&one);
		const struct player *me = player_connect(&one, stage.socket);
		players_sync(&one);
		bool serves = me && me->fd >= 0 && !one.fault;
		players_end(&one);
		if (serves)
			return true;
	}
	return false;
}

const char *stage_daemon_end(pid_t daemon, bool tell)
{
	int status;

	if (tell)
		kill(daemon, SIGTERM);
	bool over = outside_is_over(daemon, PLAYER_DEADLINE_MS);
	if (!over)
		kill(daemon, SIGKILL);
	waitpid(daemon, &status, 0);
	if (!over)
		return "it does not end";
	/* Told while it was on its way out already. */
	if (tell && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
		return NULL;
	if (WIFSIGNALED(status))
		return "it crashed";
	if (WEXITSTATUS(status) > 1 && WEXITSTATUS(status) != 64)
		return "it leaks, or worse (exit status)";
	if (tell && WEXITSTATUS(status) != 0)
		return "it ended with an error";
	return NULL;
}

/* --- others ---------------------------------------------------------------------------- */

pid_t stage_other(void (*act)(void *arg), void *arg)
{
	int p[2];
	char byte;

	if (pipe2(p, O_CLOEXEC) < 0)
		abort();
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		act(arg);
		if (write(p[1], "!", 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(p[1]);
	if (read(p[0], &byte, 1) < 0)
		abort();
	close(p[0]);
	return pid;
}

void stage_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- around it --------------------------------------------------------------------------- */

/* So that the paths that are fixed can be used: the system's socket, the journal's. */
static bool run_make(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0 &&
	       mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/journal", 0755) == 0;
}

void stage_make(void)
{
	int master;

	snprintf(stage.dir, sizeof(stage.dir), "/tmp/ttylock-XXXXXX");
	if (!mkdtemp(stage.dir))
		abort();
	snprintf(stage.socket, sizeof(stage.socket), "%s/s", stage.dir);
	stage.is_private = run_make();
	setsid();
	signal(SIGHUP, SIG_IGN);
	for (int i = 0; i < 2; i++)
		if (openpty(&master, &stage.tty[i], NULL, NULL, NULL) < 0)
			abort();
	ioctl(stage.tty[0], TIOCSCTTY, 0);
	stage.controlling = open("/dev/tty", O_RDWR | O_CLOEXEC);
	stage.file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

void stage_end(void)
{
	static const char *const ends[] = {
	    "", ".lock", ".log", ".ledger", ".ledger.new", ".notify"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		unlink(stage_path(ends[i]));
	unlink(stage_beside("ledger"));
	rmdir(stage.dir);
}
