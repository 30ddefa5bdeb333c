/* tally: plays one run for each call and each of its errors, and counts.
 */
#ifndef TTYLOCK_TESTS_TALLY_H
#define TTYLOCK_TESTS_TALLY_H

#include <stdint.h>

/* A place that is called more often fails in so many of its calls, spread evenly. 0: in
 * each of them. */
extern uint32_t tally_site_calls;

/* play: one run, in which that call fails so (nth 0: none): NULL, or what is wrong.
 * Arguments: NAME of the one to show, `K N`: every run but those that are K modulo N is
 * left out. Prints what went wrong and, for each function, a line
 * `reached NAME SITES CALLS FAILURES`. Returns how many runs went wrong. */
int tally_run(int argc, char **argv, const char *(*play)(uint32_t nth, uint32_t which));

#endif
