/* The ttylock command: finds the subcommand and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static int help(void)
{
	printf("Usage: ttylock COMMAND [ARGUMENT]...\n"
	       "Take turns at a terminal: each crash of a process tree gets the debugger, one at a "
	       "time.\n\n");
	for (const struct command *const *c = commands; *c; c++)
		printf("  %-8s %s\n", (*c)->name, (*c)->summary);
	printf("\n'ttylock COMMAND --help' tells more.\n\n"
	       "Exit status: the command's own; 128+N when signal N ended it; 75 busy (-n);\n"
	       "124 timed out (-w); 125 ttylock failed; 126 cannot execute; 127 not found;\n"
	       "64 wrong command line.\n");
	return 0;
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

int main(int argc, char **argv)
{
	if (argc == 1 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return command_shell.run(&command_shell, argc, argv);
	if (argc < 2)
		return complain(EXIT_USAGE, "which command? 'ttylock --help' lists them");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help();
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("ttylock " TTYLOCK_VERSION);
		return 0;
	}
	for (const struct command *const *c = commands; *c; c++) {
		if (!strcmp(argv[1], (*c)->name)) {
			int status = (*c)->run(*c, argc - 1, argv + 1);
			return status == EXIT_INTERRUPTED ? end_interrupted() : status;
		}
	}
	return complain(EXIT_USAGE, "no command '%s'; 'ttylock --help' lists them", argv[1]);
}
