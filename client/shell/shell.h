/* shell: what `ttylock shell` and its own commands share. */
#ifndef TTYLOCK_SHELL_H
#define TTYLOCK_SHELL_H

#include <stdbool.h>

#include "command.h"
#include "history.h"
#include "job.h"
#include "view.h"

struct shell {
	bool interactive;
	bool errexit;
	bool ended; /* by quit */
	int status; /* of the last command */
	struct view view;
	struct job job;
	struct history history;
	struct signals signals;
};

/* A command that only the shell has. */
struct builtin {
	struct command command; /* its run is not used */
	int (*run)(struct shell *s, int argc, char **argv);
};

/* Ended by one without a name. */
extern const struct builtin builtins[];

const struct builtin *builtin_find(const char *name);

/* Of the shell's own or of the table; NULL: no such command. */
const struct command *shell_command_find(const char *name);

#endif
