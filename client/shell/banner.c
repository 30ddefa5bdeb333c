#include "banner.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void signal_name(int sig, char out[16])
{
	const char *abbrev = sigabbrev_np(sig);

	if (abbrev)
		snprintf(out, 16, "SIG%s", abbrev);
	else
		snprintf(out, 16, "signal %d", sig);
}

void banner_print(
    int tty, const char *reason, pid_t pid, const char *comm, const char *what, uint32_t waiters)
{
	char line[512], others[64] = "nobody else waits";

	if (waiters > 0)
		snprintf(
		    others, sizeof(others), "%u more wait%s", waiters, waiters == 1 ? "s" : "");
	int n = snprintf(line, sizeof(line), "\r\nttylock: %s: %s (pid %d): %s; %s\r\n", reason,
	    comm, (int)pid, what, others);
	if (n > (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 1;
	if (write(tty, line, (size_t)n) < 0)
		return; /* the terminal is gone: the debugger will see that too */
}
