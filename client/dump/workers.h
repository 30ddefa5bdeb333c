/* workers: the dumps of many processes, each by a child of ours that is killed
 * at its deadline, so that a hang costs one line; some at a time. */
#ifndef DUMP_WORKERS_H
#define DUMP_WORKERS_H

#include <jansson.h>
#include <sys/types.h>

struct work {
	pid_t pid;
	json_t *result; /* out: as of process_dump(); never NULL afterwards */
};

void workers_run(struct work *work, size_t count, int timeout_ms);

#endif
