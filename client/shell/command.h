/* command: what the subcommands share: the one table of them, their voice and
 * their exit statuses. */
#ifndef TTYLOCK_COMMAND_H
#define TTYLOCK_COMMAND_H

enum {
	EXIT_USAGE = 64,	/* the command line is wrong */
	EXIT_BUSY = 75,		/* -n, and somebody holds the terminal */
	EXIT_TIMED_OUT = 124,	/* -w */
	EXIT_FAILED = 125,	/* ttylock itself failed */
	EXIT_CANNOT_EXEC = 126, /* found, but it cannot be executed */
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNALLED = 128, /* plus the signal's number */
	/* Of no process: has command_main end by SIGINT, which a shell sees as 130. */
	EXIT_INTERRUPTED = 256,
};

struct command {
	const char *name;
	const char *arguments; /* "[OPTION]... PID" */
	const char *summary;   /* one line */
	const char *help;      /* what --help says below the usage line */
	int (*run)(const struct command *self, int argc, char **argv);
};

/* Found by these names in the libraries that main.c loads. */
#pragma GCC visibility push(default)
extern const struct command command_run, command_exec, command_debug, command_status, command_dump,
    command_shell, command_cancel, command_next, command_release, command_skip, command_trace,
    command_wait;

/* The whole program, with the commands that main.c does not have. */
int ttylock_main(int argc, char **argv);
#pragma GCC visibility pop

/* The table, ended by NULL. */
extern const struct command *const commands[];

/* Runs one, with its own name as argv[0]: the exit status. */
int command_main(const struct command *c, int argc, char **argv);

/* Prints "ttylock: ..." as one line on standard error, and returns status. */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For a wrong command line: the line says what is wrong and where help is. */
int complain_usage(const struct command *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For an option that getopt_long did not know. */
int complain_option(const struct command *c, char *const *argv);

/* Prints the usage and help of c on standard output; returns 0. */
int print_help(const struct command *c);

/* One line about why no daemon or no terminal is to be had, for -errno of
 * ttylock_open(). */
const char *open_error(int error);
/* What to say when a turn cannot be had, turn_take()'s -errno. */
const char *turn_error(int error);

/* The exit status, of those above, for a wait status. */
int exit_status_of(int wait_status);

#endif
