/* reporter: the `ttylock dump` that `ttylock run` starts about its own tree; one
 * at a time. */
#ifndef TTYLOCK_REPORTER_H
#define TTYLOCK_REPORTER_H

#include <sys/types.h>

/* Starts a dump of all below this process, to the terminal and into the file of
 * its pid. why: one line for people. Its pid; 0: it could not be started, which
 * a line says. */
pid_t reporter_start(const char *why);

#endif
