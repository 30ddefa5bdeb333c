/* lineage: a process and its parents, as they are when it is read.
 *
 * Reads /proc. Whoever is answered with it is told about numbers: a process
 * that is gone by then may have left its own to another.
 */
#ifndef TTYLOCK_LINEAGE_H
#define TTYLOCK_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LINEAGE_MAX 64

struct lineage {
	uint32_t refs, count;
	pid_t pids[]; /* the nearest first */
};

/* pid itself, its parent, and so on up to process 1; fewer where /proc does not
 * tell or there are more than LINEAGE_MAX. With one reference, or NULL when out
 * of memory. */
struct lineage *lineage_read(pid_t pid);
struct lineage *lineage_ref(struct lineage *l);
/* Gives a reference back; the last one frees it. NULL is fine. */
void lineage_unref(struct lineage *l);

bool lineage_has(const struct lineage *l, pid_t pid);

#endif
