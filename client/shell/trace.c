/* ttylock trace: who held which terminal and who waited, as a trace to look at. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/deadline.h"
#include "command.h"
#include "follow.h"
#include "options.h"
#include "signals.h"
#include "steer.h"
#include "timeline.h"

struct trace {
	struct trace_file file;
	struct timeline timeline;
	struct follow follow;
	int ready; /* told when nothing that happens from now on is missed; -1 */
};

static int64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t now(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

/* --- what the daemon tells -------------------------------------------------- */

static void say_ready(struct trace *t)
{
	if (t->ready >= 0)
		send(t->ready, "", 1, MSG_NOSIGNAL);
	t->ready = -1;
}

static int on_back(const struct greeting *daemon, void *arg)
{
	struct trace *t = arg;

	timeline_back(&t->timeline, daemon, now());
	return t->file.error;
}

static int on_lost(void *arg)
{
	struct trace *t = arg;

	timeline_lost(&t->timeline, now());
	say_ready(t);
	return t->file.error;
}

static int on_event(const ttylock_Event *event, void *arg)
{
	struct trace *t = arg;

	if (timeline_event(&t->timeline, event, now()))
		t->follow.stale = true;
	return t->file.error;
}

static int on_list(const struct listing *l, void *arg)
{
	struct trace *t = arg;

	timeline_list(&t->timeline, l, now());
	say_ready(t);
	return t->file.error;
}

/* Into fd, which it closes: the status to exit with. */
static int trace_into(struct trace *t, int fd, const char *name)
{
	struct follow *f = &t->follow;
	int64_t wall = clock_us(CLOCK_REALTIME) / 1000;

	f->on_back = on_back;
	f->on_lost = on_lost;
	f->on_event = on_event;
	f->on_list = on_list;
	f->arg = t;
	signal(SIGPIPE, SIG_IGN);
	trace_file_begin(&t->file, fd);
	timeline_init(&t->timeline, &t->file, now(), (double)wall / 1000);
	int r = follow_run(f);
	timeline_deinit(&t->timeline, now());
	int error = trace_file_end(&t->file);
	if (error < 0)
		return complain(EXIT_FAILED, "trace: %s: %s", name, strerror(-error));
	return r < 0 ? complain(EXIT_FAILED, "%s", open_error(r)) : 0;
}

/* --- beside a command ------------------------------------------------------- */

/* Out of the way of the command's job: in a session of its own, and no child of
 * the `run` that its parent becomes. It ends when that one closes its end. */
static void become_tracer(int sock, int fd, const char *name)
{
	struct trace t = {.ready = sock, .follow = {.start = true, .wake = sock, .deadline = -1}};
	pid_t pid = fork();

	if (pid != 0)
		_exit(pid < 0);
	setsid();
	signals_reset();
	_exit(trace_into(&t, fd, name));
}

/* Reads until a byte or the end comes. */
static void await(int sock)
{
	char byte;

	while (read(sock, &byte, 1) < 0 && errno == EINTR)
		;
}

static int run_beside(int fd, const char *name, int argc, char **argv)
{
	static char run[] = "run", end[] = "--";
	int sock[2];
	char **run_argv = calloc((size_t)argc + 3, sizeof(*run_argv));

	if (!run_argv || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0)
		return complain(EXIT_FAILED, "trace: %s", strerror(errno));
	pid_t pid = fork();
	if (pid == 0) {
		close(sock[0]);
		become_tracer(sock[1], fd, name);
	}
	close(sock[1]);
	close(fd);
	if (pid < 0)
		return complain(EXIT_FAILED, "trace: fork: %s", strerror(errno));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	await(sock[0]);
	run_argv[0] = run;
	run_argv[1] = end;
	memcpy(run_argv + 2, argv, (size_t)argc * sizeof(*argv));
	optind = 0;
	int status = command_run.run(&command_run, argc + 2, run_argv);
	shutdown(sock[0], SHUT_WR);
	await(sock[0]);
	close(sock[0]);
	free(run_argv);
	return status;
}

/* --- of the daemon that runs ------------------------------------------------ */

static int trace_running(int fd, const char *name, int64_t deadline)
{
	static const int list[] = {SIGINT, SIGTERM, SIGHUP, 0};
	struct trace t = {.ready = -1, .follow = {.deadline = deadline}};
	struct signals signals;

	int r = signals_open(&signals, list);
	if (r < 0)
		return complain(EXIT_FAILED, "trace: %s", strerror(-r));
	t.follow.wake = signals.fd;
	return trace_into(&t, fd, name);
}

/* Before a file is emptied for nothing: 0, or the status to exit with. */
static int check_daemon(void)
{
	struct feed f = {0};
	int r = feed_open(&f, 0);

	feed_close(&f);
	if (r == -ENOENT)
		return complain(EXIT_NOTHING, "trace: no daemon runs, so nobody holds or waits; "
					      "'ttylock trace -o FILE -- COMMAND' starts one");
	return r < 0 ? complain(EXIT_FAILED, "%s", open_error(r)) : 0;
}

/* --- the command line ------------------------------------------------------- */

static int open_file(const char *name)
{
	int fd = strcmp(name, "-") == 0
		     ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
		     : open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);

	return fd < 0 ? -errno : fd;
}

static int run_trace(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
	    {"output", required_argument, NULL, 'o'}, {"timeout", required_argument, NULL, 'w'},
	    {0}};
	struct options o = OPTIONS_INIT;
	const char *name = NULL;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+:ho:w:", longs, NULL)) != -1) {
		if (opt == 'o')
			name = optarg;
		else if ((r = options_take(&o, self, opt, argv)) >= 0)
			return r;
	}
	if (!name)
		return complain_usage(self, "into which file? -o FILE says it");
	bool beside = optind < argc;
	if (beside && o.timeout_ms >= 0)
		return complain_usage(self, "-w goes with no COMMAND");
	if (!beside && (r = check_daemon()) > 0)
		return r;
	int fd = open_file(name);
	if (fd < 0)
		return complain(EXIT_FAILED, "trace: %s: %s", name, strerror(-fd));
	if (beside)
		return run_beside(fd, name, argc - optind, argv + optind);
	return trace_running(fd, name, deadline_in(o.timeout_ms));
}

const struct command command_trace = {
    .name = "trace",
    .arguments = "-o FILE [OPTION]... [[--] COMMAND [ARGUMENT]...]",
    .summary = "Record who held each terminal and who waited, for Perfetto to show",
    .help =
	"With COMMAND: what 'ttylock run' does, and the recording ends with it. Without: until\n"
	"Ctrl-C, SIGTERM or the timeout, of the daemon that runs. FILE holds Chrome trace\n"
	"events: open it at https://ui.perfetto.dev or in chrome://tracing.\n\n"
	"  -o, --output FILE    where to write it; - is standard output\n"
	"  -w, --timeout SECS   end after so long; not with COMMAND\n"
	"\nExit status: COMMAND's own, as of 'ttylock run'; without one 0; 1 no daemon runs;\n"
	"125 ttylock failed; 64 wrong command line.\n",
    .run = run_trace,
};
