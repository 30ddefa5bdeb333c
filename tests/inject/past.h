/* past: what an earlier daemon has left, made once by a real one that was killed: a holder
 * with something dead on top of it, two waiters of whom one never comes back, a holder that
 * is dead, and one whose terminal is gone.
 */
#ifndef TTYLOCK_TESTS_PAST_H
#define TTYLOCK_TESTS_PAST_H

#include <stdint.h>

#include "stage.h"

enum { PAST_TERMINALS = 8 };

void past_make(void);
void past_end(void);

/* Its ledger beside the socket, as it was; on an old kernel, as it is now; of another
 * layout; unreadable. */
void past_lay(void);
void past_lay_old(void);
void past_lay_other(void);
void past_lay_unreadable(void);
/* As the ledger of the directory that it is in. */
void past_lay_in_directory(void);
/* A memfd with it, as it was or of another layout. */
int past_memory(bool other);
/* The ids of its terminals: 0 at the end. */
const uint64_t *past_terminals(void);

/* All come back, and somebody else wants the terminal: nobody gets it before them. */
void play_past(struct players *all, pid_t daemon);

#endif
