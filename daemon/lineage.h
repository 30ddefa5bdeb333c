/* lineage: a process and its parents, as they are now.
 *
 * Reads /proc. Whoever is answered with it is told about numbers: a process
 * that is gone by then may have left its own to another.
 */
#ifndef TTYLOCK_LINEAGE_H
#define TTYLOCK_LINEAGE_H

#include <stddef.h>
#include <sys/types.h>

#define LINEAGE_MAX 64

/* pid itself, its parent, and so on up to process 1; fewer where /proc does not
 * tell or there are more than LINEAGE_MAX. Returns how many, at least 1. */
size_t lineage_read(pid_t pid, pid_t lineage[LINEAGE_MAX]);

#endif
