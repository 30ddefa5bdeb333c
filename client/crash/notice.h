/* The one line that says why a crash gets no debugger. */
#ifndef CRASH_NOTICE_H
#define CRASH_NOTICE_H

#include <stddef.h>

/* "ttylock: NAME (pid PID): WHAT: the error's text" on standard error. buf is room to build it in.
 * Async-signal-safe. */
void notice(char *buf, size_t size, const char *what, int error);

#endif
