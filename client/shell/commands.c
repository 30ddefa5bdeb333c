/* All commands: finds the one that is meant and runs it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

const struct command *const commands[] = {&command_run, &command_exec, &command_debug,
    &command_status, &command_cancel, &command_next, &command_release, &command_skip, &command_wait,
    &command_trace, &command_dump, &command_shell, NULL};

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

int ttylock_main(int argc, char **argv)
{
	if (argc == 1 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return command_main(&command_shell, argc, argv);
	if (argc < 2)
		return complain(EXIT_USAGE, "which command? 'ttylock --help' lists them");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help();
	for (const struct command *const *c = commands; *c; c++) {
		if (!strcmp(argv[1], (*c)->name))
			return command_main(*c, argc - 1, argv + 1);
	}
	return complain(EXIT_USAGE, "no command '%s'; 'ttylock --help' lists them", argv[1]);
}
