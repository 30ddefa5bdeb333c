/* The commands that only the shell has: help, watch, fg, quit. */
#include <stdio.h>
#include <string.h>

#include "shell.h"

static int run_help(struct shell *s, int argc, char **argv)
{
	(void)s;
	if (argc > 1) {
		const struct command *c = shell_command_find(argv[1]);
		if (!c)
			return complain(EXIT_USAGE, "no command '%s'; 'help' lists them", argv[1]);
		return builtin_find(argv[1]) ? printf("Usage: %s %s\n%s.\n\n%s", c->name,
						   c->arguments, c->summary, c->help) < 0
					     : print_help(c);
	}
	for (const struct command *const *c = commands; *c; c++)
		printf("  %-8s %s\n", (*c)->name, (*c)->summary);
	for (const struct builtin *b = builtins; b->command.name; b++)
		printf("  %-8s %s\n", b->command.name, b->command.summary);
	puts("\n'help COMMAND' tells more; Tab completes commands, options, ids, pids, terminals.");
	return 0;
}

static int run_watch(struct shell *s, int argc, char **argv)
{
	char status[] = "status", watch[] = "--watch";

	(void)argc, (void)argv;
	return job_run(&s->job, 2, (char *[]){status, watch});
}

static int run_fg(struct shell *s, int argc, char **argv)
{
	(void)argc, (void)argv;
	int r = job_resume(&s->job);
	return r < 0 ? complain(EXIT_FAILED, "nothing is stopped") : r;
}

static int run_quit(struct shell *s, int argc, char **argv)
{
	(void)argc, (void)argv;
	s->ended = true;
	return s->status;
}

const struct builtin builtins[] = {
    {{.name = "help",
	 .arguments = "[NAME]",
	 .summary = "List the commands, or tell more about one",
	 .help = ""},
	run_help},
    {{.name = "watch",
	 .arguments = "",
	 .summary = "Show the locks as they change, until q or Ctrl-C",
	 .help = "The same as: status --watch\n"},
	run_watch},
    {{.name = "fg",
	 .arguments = "",
	 .summary = "Let the command go on that Ctrl-Z stopped",
	 .help = ""},
	run_fg},
    {{.name = "quit", .arguments = "", .summary = "Leave; so do exit and Ctrl-D", .help = ""},
	run_quit},
    {{.name = "exit", .arguments = "", .summary = "Leave", .help = ""}, run_quit},
    {{0}, NULL},
};

const struct builtin *builtin_find(const char *name)
{
	for (const struct builtin *b = builtins; b->command.name; b++)
		if (!strcmp(name, b->command.name))
			return b;
	return NULL;
}

const struct command *shell_command_find(const char *name)
{
	const struct builtin *b = builtin_find(name);

	if (b)
		return &b->command;
	for (const struct command *const *c = commands; *c; c++)
		if (!strcmp(name, (*c)->name))
			return *c;
	return NULL;
}
