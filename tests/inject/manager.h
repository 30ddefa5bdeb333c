/* manager: a service manager as the daemon sees it: a socket that it was started for,
 * descriptors that were kept for it, and somebody who is told of what it does. And the
 * journal, which only takes.
 */
#ifndef TTYLOCK_TESTS_MANAGER_H
#define TTYLOCK_TESTS_MANAGER_H

#include "stage.h"

void manager_make(void);
void manager_end(void);

/* `before` of scenes: a socket alone; with what past.h has, and something that nobody
 * knows; with that in another layout. */
void manager_begins(void);
void manager_has_past(void);
void manager_has_other_past(void);
/* `inside`: it is passed to the daemon. */
void manager_passes(void);
/* And a directory for the ledger: the socket's. */
void manager_passes_directory(void);
/* Standard error is the journal's. */
void manager_reads_log(void);
/* It closes the socket, which stays. */
void manager_leaves(void);
/* `behind`. */
void manager_forgets(void);

#endif
