/* ttylock shell: the other commands at a prompt that shows who has the terminal. */
#include "shell.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complete.h"
#include "edit.h"
#include "words.h"

/* --- one line --------------------------------------------------------------- */

static int execute_words(struct shell *s, int argc, char **argv)
{
	const struct builtin *b = builtin_find(argv[0]);

	if (b)
		return b->run(s, argc, argv);
	if (!shell_command_find(argv[0]))
		return complain(EXIT_USAGE, "no command '%s'; 'help' lists them", argv[0]);
	return job_run(&s->job, argc, argv);
}

static void execute(struct shell *s, const char *line)
{
	struct words w;

	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return;
	const char *wrong = words_split(&w, line);
	if (wrong) {
		s->status = complain(EXIT_USAGE, "this is no command line: %s", wrong);
		return;
	}
	/* From habit, or pasted. */
	int skip = w.argc > 1 && !strcmp(w.argv[0], "ttylock");
	if (w.argc > skip)
		s->status = execute_words(s, w.argc - skip, w.argv + skip);
	words_free(&w);
	fflush(stdout);
}

/* What is pasted may be several. */
static void execute_lines(struct shell *s, char *lines)
{
	char *rest = lines, *line;

	while (!s->ended && (line = strsep(&rest, "\n"))) {
		execute(s, line);
		if (s->errexit && s->status)
			s->ended = true;
	}
}

/* --- where lines come from ---------------------------------------------------- */

static int serve_person(struct shell *s)
{
	char *line = NULL;
	int r = 0;

	view_init(&s->view);
	history_open(&s->history);
	edit_init();
	complete_init(&s->view);
	while (!s->ended && (r = edit_line(&s->view, &s->signals, &line)) == 0) {
		history_keep(&s->history, line);
		execute_lines(s, line);
		free(line);
		view_expire(&s->view);
	}
	view_deinit(&s->view);
	return s->errexit ? s->status : r == -EIO || r == -EINTR ? EXIT_SIGNALLED + SIGHUP : 0;
}

static int serve_pipe(struct shell *s)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	/* What a command reads is what comes after its line. */
	setvbuf(stdin, NULL, _IONBF, 0);
	while (!s->ended && (n = getline(&line, &size, stdin)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strlen(line) + 1 < (size_t)n)
			s->status = complain(EXIT_USAGE, "this is no command line: a zero byte");
		else
			execute(s, line);
		if (s->errexit && s->status)
			break;
	}
	free(line);
	return s->status;
}

/* --- the command ---------------------------------------------------------- */

static int serve(struct shell *s, char *lines)
{
	static const int of_person[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, 0}, none[] = {0};

	s->interactive = !lines && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	int r = signals_open(&s->signals, s->interactive ? of_person : none);
	if (r < 0)
		return complain(EXIT_FAILED, "%s", strerror(-r));
	job_init(&s->job, &s->signals, s->interactive);
	if (lines)
		execute_lines(s, lines);
	int status = lines ? s->status : s->interactive ? serve_person(s) : serve_pipe(s);
	job_deinit(&s->job);
	return status;
}

static int run_shell(const struct command *self, int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {0}};
	struct shell s = {0};
	char *lines = NULL;
	int opt;

	while ((opt = getopt_long(argc, argv, "+:hec:", longs, NULL)) != -1) {
		if (opt == 'h')
			return print_help(self);
		if (opt == ':')
			return complain_usage(self, "'%s' wants a value", argv[optind - 1]);
		if (opt == 'e')
			s.errexit = true;
		else if (opt == 'c')
			lines = optarg;
		else
			return complain_option(self, argv);
	}
	if (optind != argc)
		return complain_usage(self, "it takes no argument '%s'", argv[optind]);
	setlocale(LC_CTYPE, "");
	return serve(&s, lines);
}

const struct command command_shell = {
    .name = "shell",
    .arguments = "[OPTION]...",
    .summary = "Type these commands at a prompt that shows who holds the terminal",
    .help =
	"The prompt shows the holder, how many wait, and how many other terminals are held;\n"
	"it changes while you type. Tab completes, 'help' helps, Ctrl-D leaves. The lines\n"
	"that you type are kept in $XDG_STATE_HOME/ttylock/history. Without a terminal,\n"
	"commands are read from standard input, one a line, with no prompt.\n\n"
	"  -e           end at the first command that fails, with its exit status\n"
	"  -c LINE      do that line only\n"
	"\nExit status: of a person's shell 0; else the last command's; 64 wrong command line.\n",
    .run = run_shell,
};
