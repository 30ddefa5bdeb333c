/* debugger: the smallest there is, for the crashes of an act. It comes with the terminal,
 * waits for the signal, and lets the process go on with it or without.
 */
#ifndef TTYLOCK_TESTS_DEBUGGER_H
#define TTYLOCK_TESTS_DEBUGGER_H

#include <sys/types.h>

/* What it leaves in its working directory: a byte for each session; that there was a
 * second holder. */
#define DEBUGGER_SESSIONS "sessions"
#define DEBUGGER_FAULT	  "fault"

/* How: "pass"; "mend", which keeps the signal back; "stay", which keeps all such back until
 * the end. Returns an exit status. */
int debugger_run(const char *how, pid_t pid);

#endif
