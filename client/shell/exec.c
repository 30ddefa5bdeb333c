/* ttylock exec: hold the terminal while a command runs. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/foreground.h"
#include "command.h"
#include "options.h"
#include "session.h"

/* Whether a signal that ends us waits to be read, or the program has died. */
static bool is_ending(void)
{
	siginfo_t died = {0};
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGTERM) || sigismember(&pending, SIGHUP) ||
	       sigismember(&pending, SIGQUIT) ||
	       (waitid(P_ALL, 0, &died, WEXITED | WNOHANG | WNOWAIT) == 0 && died.si_pid);
}

/* As a shell's job would: the whole job stops, and the shell has the terminal
 * until it brings us back. Where there is no such shell the kernel does not
 * stop us, and the program just goes on. */
static bool stop_with_job(struct session *s)
{
	kill(0, SIGTSTP);
	/* After `bg` the terminal is still the shell's, and the program waits. */
	while (foreground_elsewhere(s->turn->lock->tty, getpid())) {
		if (is_ending())
			return false;
		poll(NULL, 0, 100);
	}
	return true;
}

static void describe(char *out, size_t size, char *const *argv)
{
	size_t n = 0;

	for (; *argv && n < size; argv++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " " : "", *argv);
}

static int hold_while(struct turn *t, char **argv)
{
	struct session s = {.turn = t, .argv = argv, .own_stdio = true, .suspended = stop_with_job};

	turn_pass_on(t);
	int status = session_run(&s);
	turn_put_back(t);
	turn_end(t);
	if (status >= 0)
		return exit_status_of(status);
	return complain(status == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC, "%s: %s", argv[0],
	    strerror(-status));
}

static int run_exec(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {OPTIONS_LONG, {0}};
	static const int list[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0};
	struct options o = OPTIONS_INIT;
	struct signals signals;
	char text[256] = "";
	int opt, r;

	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT, longs, NULL)) != -1)
		if ((r = options_take(&o, self, opt, argv)) >= 0)
			return r;
	if (optind == argc)
		return complain_usage(self, "which command?");
	describe(text, sizeof(text), argv + optind);

	static struct turn t;
	t = (struct turn){.job = getpid(), .subject = -1, .signals = &signals};
	struct ttylock_wish wish = {.text = o.why ? o.why : text,
	    .nonblock = o.nonblock,
	    .task_id = 1,
	    .task_name = "exec"};
	r = ttylock_open(&t.lock, -1, TTYLOCK_START);
	if (r < 0)
		return complain(EXIT_FAILED, "%s", open_error(r));
	r = signals_open(&signals, list);
	if (r == 0)
		r = turn_take(&t, &wish, o.timeout_ms);
	int status;
	if (r == 0)
		status = hold_while(&t, argv + optind);
	else if (r == -EBUSY || r == -ETIMEDOUT)
		status = options_conflict(&o, r);
	else if (r == -ECANCELED && *t.by && !t.ended_by)
		status = complain(EXIT_FAILED, "the request was cancelled by %s", t.by);
	else if (r == -ECANCELED)
		status = EXIT_SIGNALLED + (t.ended_by ? t.ended_by : SIGINT);
	else
		status = complain(EXIT_FAILED, "cannot have the terminal: %s", turn_error(r));
	/* The handle is not closed: that waits until the daemon has heard of every end,
	 * and our own is about to tell it so. */
	return status;
}

const struct command command_exec = {
    .name = "exec",
    .arguments = "[OPTION]... [--] COMMAND [ARGUMENT]...",
    .summary = "Hold the terminal while COMMAND runs",
    .help = OPTIONS_HELP
    "\nExit status: COMMAND's own; 128+N when signal N ended it; 75, 124 as above;\n"
    "125 ttylock failed; 126 cannot execute; 127 not found; 64 wrong command line.\n",
    .run = run_exec,
};
