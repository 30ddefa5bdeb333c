/* foreground: whose turn it is at the terminal in the eyes of job control. */
#ifndef TTYLOCK_FOREGROUND_H
#define TTYLOCK_FOREGROUND_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether the process pid belongs to a background job: a shell with job
 * control has the foreground itself or has given it to another job of its own,
 * so that taking the terminal would take it from under that shell. A worker
 * in a process group of its own is not a background job by that alone.
 * False where tty is not this process's controlling terminal. */
bool foreground_elsewhere(int tty, pid_t pid);

/* Whether our process group is orphaned (nobody of the session outside of it
 * looks after it, as under `ssh -t HOST CMD` or in a container) and holds nobody
 * but us and our ancestors. Who reads the terminal from the background gets EIO
 * in an orphaned group, rather than being stopped. */
bool foreground_is_orphaned(void);

/* tcsetpgrp without being stopped for it. 0 or -errno. */
int foreground_set(int tty, pid_t pgrp);

#endif
