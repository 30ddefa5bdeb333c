/* ttylock dump: what every thread of a process, or of a whole tree, is doing.
 *
 * Looks from outside, by ptrace: nothing in the process has to cooperate, and
 * nothing in it is disturbed. The handlers of SIGUSR1 start it too.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../dump/dump.h"
#include "../dump/json.h"
#include "../dump/report.h"
#include "../dump/text.h"
#include "../lib/terminal.h"
#include "command.h"
#include "options.h"
#include "signals.h"
#include "tree.h"

#define TIMEOUT_S 5
/* What a terminal that stands still (Ctrl-S) may hold up a reporter. */
#define REPORT_S 60
/* What a signal handler may take to return. */
#define AFTER_MS 500

struct request {
	pid_t pid; /* 0: the tree that we are in, or the terminal */
	bool tree, json;
	const char *report; /* to the terminal and a file, and why; NULL: to stdout */
	long after;	    /* a descriptor that ends when it is time; -1 */
	long timeout_s;
};

/* --- of whom ---------------------------------------------------------------- */

static int complain_of(pid_t pid, int error)
{
	return complain(EXIT_FAILED, "dump: pid %d: %s", (int)pid,
	    error == -ESRCH ? "no such process" : strerror(-error));
}

static int dump_terminal(struct forest *f, json_t **of)
{
	char path[64];
	unsigned device;
	int tty = terminal_open(), r = tty < 0 ? tty : terminal_device(tty, &device);

	if (r >= 0)
		r = terminal_path(tty, path, sizeof(path));
	if (r >= 0)
		r = forest_of_terminal(f, device);
	if (r < 0)
		return complain(EXIT_FAILED, "dump: of which process? There is no terminal here");
	*of = json_pack("{s:s, s:o}", "of", "terminal", "terminal", json_text(path));
	return 0;
}

/* 0, or the status to exit with. */
static int choose(const struct request *q, struct forest *f, json_t **of)
{
	pid_t pid = q->pid ? q->pid : tree_agent();
	bool tree = q->tree || !q->pid;

	if (!pid)
		return dump_terminal(f, of);
	int r = tree ? forest_of_tree(f, pid) : forest_of_process(f, pid);
	if (r < 0)
		return complain_of(pid, r);
	*of = json_pack("{s:s, s:i}", "of", tree ? "tree" : "process", "pid", (int)pid);
	return 0;
}

/* --- to where --------------------------------------------------------------- */

/* In one piece: several of us may share the descriptor. */
static int print(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return complain(EXIT_FAILED, "dump: %s", strerror(errno));
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int deliver(const struct request *q, const json_t *dump)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int status;

	if (!out)
		return complain(EXIT_FAILED, "dump: %s", strerror(errno));
	if (q->json)
		json_print(out, dump, JSON_INDENT(2));
	else
		text_print(out, dump, q->report);
	if (fclose(out) == EOF)
		status = complain(EXIT_FAILED, "dump: %s", strerror(errno));
	else if (q->report)
		status = report_write(text, len, q->pid) < 0 ? EXIT_FAILED : 0;
	else
		status = print(text, len);
	free(text);
	return status;
}

/* Of a tree some may be out of reach; of one process, that is a failure. */
static int verdict(const json_t *dump)
{
	const json_t *processes = json_object_get(dump, "processes");

	return !strcmp(json_get_text(dump, "of"), "process") &&
		       json_object_get(json_array_get(processes, 0), "error")
		   ? EXIT_FAILED
		   : 0;
}

static int dump(const struct request *q)
{
	struct forest f = {0};
	json_t *of = NULL, *all = NULL;
	int status = choose(q, &f, &of);

	if (status == 0) {
		all = dump_take(&f, (int)q->timeout_s * 1000);
		if (!all)
			status = complain(EXIT_FAILED, "dump: %s", strerror(ENOMEM));
	}
	if (status == 0) {
		json_object_update(all, of);
		status = deliver(q, all);
	}
	if (status == 0)
		status = verdict(all);
	json_decref(of);
	json_decref(all);
	forest_deinit(&f);
	return status;
}

/* --- the command ------------------------------------------------------------ */

enum { OPT_REPORT = 256, OPT_AFTER };

/* Started by a signal handler, with all signals blocked; it should have returned
 * before we look. A child of its process may keep the pipe open for longer. */
static void prepare_report(const struct request *q)
{
	struct pollfd p = {.fd = (int)q->after, .events = POLLIN};

	signals_reset();
	alarm(REPORT_S);
	if (q->after >= 0)
		poll(&p, 1, AFTER_MS);
}

static int take_option(struct request *q, const struct command *self, int opt, char **argv)
{
	switch (opt) {
	case 'h':
		return print_help(self);
	case 't':
		q->tree = true;
		return -1;
	case 'J':
		q->json = true;
		return -1;
	case 'w':
		if (parse_number(optarg, 1, 3600, &q->timeout_s) < 0)
			return complain_usage(self, "-w takes 1 to 3600 seconds, not '%s'", optarg);
		return -1;
	case OPT_REPORT:
		q->report = optarg;
		return -1;
	case OPT_AFTER:
		if (parse_number(optarg, 0, INT32_MAX, &q->after) < 0)
			return complain_usage(self, "not a number: '%s'", optarg);
		return -1;
	case ':':
		return complain_usage(self, "'%s' wants a value", argv[optind - 1]);
	default:
		return complain_option(self, argv);
	}
}

static int run_dump(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
	    {"tree", no_argument, NULL, 't'}, {"json", no_argument, NULL, 'J'},
	    {"timeout", required_argument, NULL, 'w'},
	    {"report", required_argument, NULL, OPT_REPORT},
	    {"after", required_argument, NULL, OPT_AFTER}, {0}};
	struct request q = {.timeout_s = TIMEOUT_S, .after = -1};
	long pid = 0;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+:htJw:", longs, NULL)) != -1)
		if ((r = take_option(&q, self, opt, argv)) >= 0)
			return r;
	if (argc - optind > 1)
		return complain_usage(self, "one process at a time");
	if (optind < argc && parse_number(argv[optind], 1, INT32_MAX, &pid) < 0)
		return complain_usage(self, "not a pid: '%s'", argv[optind]);
	q.pid = (pid_t)pid;
	if (!q.pid && (q.tree || q.report))
		return complain_usage(self, "which process?");
	if (q.report)
		prepare_report(&q);
	return dump(&q);
}

const struct command command_dump = {
    .name = "dump",
    .arguments = "[OPTION]... [PID]",
    .summary = "Show the stacks of PID, or of the whole tree, and who waits for whom",
    .help =
	"Every thread of process PID: functions, source lines, modules and offsets. Without\n"
	"PID: of all processes below this 'ttylock run', or outside of one of all on this\n"
	"terminal, parents first. The processes are not disturbed. A process that is in the\n"
	"debugger is named, and left alone.\n\n"
	"  -t, --tree           PID and every process below it\n"
	"  -J, --json           one JSON object\n"
	"  -w, --timeout SECS   what a process may take that does not stop (5)\n"
	"\nA program under 'ttylock run' dumps itself on SIGUSR1 unless it handles that signal\n"
	"itself or has TTYLOCK_STACK_DUMP=off in its environment; 'ttylock run' on SIGUSR1\n"
	"dumps the tree. Both go to the terminal and into stack-PID.txt beside the daemon's\n"
	"socket.\n"
	"\nExit status: 0; 125 ttylock failed, or PID is out of reach; 64 wrong command line.\n",
    .run = run_dump,
};
