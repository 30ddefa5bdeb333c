/* debugger: the command line of the person's debugger for a process. */
#ifndef TTYLOCK_DEBUGGER_H
#define TTYLOCK_DEBUGGER_H

#include <stdbool.h>
#include <sys/types.h>

#define DEBUGGER_ARGS_MAX 16

struct debugger {
	const char *argv[DEBUGGER_ARGS_MAX]; /* ended by NULL */
	const char *name;		     /* for messages */
	char *line;			     /* owned */
	int script;			     /* owned: an open file that gdb reads; -1: none */
	char script_path[32];
};

/* Whom to attach to: pid; or, when its first thread has ended, which no debugger can
 * attach to, the thread, or (0) one that has not. The others are left alone then. */
pid_t debugger_target(pid_t pid, pid_t thread);

/* $TTYLOCK_DEBUGGER by `sh -c`, with %p the pid, %e the executable (quoted for
 * the shell) and %% a percent sign; without it gdb, attached to pid and, if
 * `crashed` is a signal, continued to where that strikes again. At a breakpoint
 * of the process's own it is continued to that, and leaves at the person's
 * "continue", unless they have set breakpoints themselves: so that others get
 * the terminal while the program runs. 0; -ENOMEM; -errno of memfd_create(2). */
int debugger_init(struct debugger *d, pid_t pid, int crashed, bool breakpoint);
void debugger_deinit(struct debugger *d);

/* Whether we may trace pid: 0; -EALREADY: somebody does; -EPERM; -ESRCH, -ENOENT:
 * it has ended.
 * Leaves it undisturbed. */
int debugger_may_attach(pid_t pid);

#endif
