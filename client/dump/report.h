/* report: a dump that a signal asked for: on the terminal and in a file.
 *
 * The file is stack-PID.txt in the runtime directory: where the daemon's socket
 * is, if that directory is ours alone, else the user's own. A later dump of the
 * same pid replaces it; one of a process that is gone is removed by another's dump
 * a week later. Dumps of several processes come one after the other:
 * whoever writes to the terminal holds a lock on dump.lock there.
 */
#ifndef DUMP_REPORT_H
#define DUMP_REPORT_H

#include <stddef.h>
#include <sys/types.h>

/* To the terminal, or standard error where there is none, in one piece. 0 or
 * -errno of writing; the file is written in any case, if it can be. */
int report_write(const char *text, size_t len, pid_t pid);

#endif
