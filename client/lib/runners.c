#include "runners.h"

#include "deadline.h"
#include "procfs.h"

/* Who was woken inside a read needs far less than this to be back in it. */
#define RUN_CPU_NS  1000000
#define RUN_WAIT_MS 50 /* where it is not known how long one has run */

void runners_init(struct runners *r)
{
	r->began = clock_ms();
	r->count = 0;
}

bool runners_computes(pid_t pid, pid_t thread, void *arg)
{
	struct runners *r = arg;
	int64_t ran = procfs_ran(pid, thread);

	for (size_t i = 0; ran >= 0 && i < r->count; i++)
		if (r->seen[i].thread == thread)
			return ran - r->seen[i].ran >= RUN_CPU_NS;
	if (ran < 0 || r->count == RUNNERS_MAX)
		return clock_ms() - r->began >= RUN_WAIT_MS;
	r->seen[r->count].thread = thread;
	r->seen[r->count++].ran = ran;
	return false;
}
