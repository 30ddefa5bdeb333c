#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* In one write, so that lines of several processes do not mix. */
static void __attribute__((format(printf, 2, 0)))
print_line(const char *prefix, const char *format, va_list args, const char *suffix)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "ttylock: %s", prefix);

	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	fprintf(stderr, "%s%s\n", line, suffix);
}

int complain(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line("", format, args, "");
	va_end(args);
	return status;
}

int complain_usage(const struct command *c, const char *format, ...)
{
	char prefix[64], suffix[96];
	va_list args;

	snprintf(prefix, sizeof(prefix), "%s: ", c->name);
	snprintf(suffix, sizeof(suffix), "; see 'ttylock %s --help'", c->name);
	va_start(args, format);
	print_line(prefix, format, args, suffix);
	va_end(args);
	return EXIT_USAGE;
}

int complain_option(const struct command *c, char *const *argv)
{
	const char *arg = argv[optind - 1];

	/* Of several letters behind one dash optopt alone tells which. */
	if (optopt && strncmp(arg, "--", 2) != 0)
		return complain_usage(c, "no option '-%c'", optopt);
	return complain_usage(c, "no option '%s'", arg);
}

int print_help(const struct command *c)
{
	printf("Usage: ttylock %s %s\n%s.\n\n%s", c->name, c->arguments, c->summary, c->help);
	return 0;
}

const char *open_error(int error)
{
	switch (error) {
	case -ENOTTY:
		return "no terminal: run it on one, or name one by TTYLOCK_TTY";
	case -ENOENT:
		return "no daemon answers and no ttylockd was found to start: install it beside "
		       "ttylock, or set TTYLOCK_SOCKET";
	case -EHOSTDOWN:
		return "the service ttylockd is stopped, and it alone knows who has a terminal: "
		       "systemctl start ttylockd.socket";
	case -ECHILD:
		return "ttylockd ended at once: ttylockd.log beside its socket says why";
	case -EPROTONOSUPPORT:
		return "the daemon speaks another protocol version: restart it after an upgrade";
	case -EPROTO:
		return "what listens at the socket is no ttylockd: check TTYLOCK_SOCKET";
	case -EPERM:
		return "the socket's listener belongs to another user: check TTYLOCK_SOCKET";
	case -EACCES:
		return "permission denied for the terminal or the daemon's socket";
	case -ETIMEDOUT:
		return "the daemon does not answer";
	case -EUSERS:
		return "the daemon has too many connections or watchers of this user";
	default:
		return strerror(-error);
	}
}

const char *turn_error(int error)
{
	return error == -ENOTTY
		   ? "this terminal is none of the daemon's /dev/pts: is this a chroot, or a "
		     "container's namespace, without a terminal of its own?"
		   : strerror(-error);
}

/* A command that Ctrl-C ended: a shell ends its loop or script only when it
 * sees that signal in our end too. */
static int end_interrupted(void)
{
	sigset_t set;

	fflush(NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	signal(SIGINT, SIG_DFL);
	raise(SIGINT);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return EXIT_SIGNALLED + SIGINT;
}

int command_main(const struct command *c, int argc, char **argv)
{
	int status = c->run(c, argc, argv);

	return status == EXIT_INTERRUPTED ? end_interrupted() : status;
}

int exit_status_of(int wait_status)
{
	if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGINT)
		return EXIT_INTERRUPTED;
	return WIFSIGNALED(wait_status) ? EXIT_SIGNALLED + WTERMSIG(wait_status)
					: WEXITSTATUS(wait_status);
}
