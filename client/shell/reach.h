/* reach: whether LD_PRELOAD gets into a program. */
#ifndef TTYLOCK_REACH_H
#define TTYLOCK_REACH_H

/* Why it does not get into what execvp(3) starts by that name, for people; NULL: it does,
 * or that cannot be told. */
const char *reach_missed(const char *name);

#endif
