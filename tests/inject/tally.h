/* tally: plays one run for each call and each of its errors, and counts.
 *
 * First the calls of the run in which nothing fails. What is called only because one
 * of these failed may fail after that, on top of it.
 */
#ifndef TTYLOCK_TESTS_TALLY_H
#define TTYLOCK_TESTS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* A place that is called more often fails in so many of its calls, spread evenly. 0: in
 * each of them. */
extern uint32_t tally_site_calls;
/* Whether what only a failure leads to fails as well, unless so many are left out. */
extern bool tally_goes_deep;

/* play: one run, with the orders that are set: NULL, or what is wrong. Arguments: NUMBER
 * of the one call to show, `K N`: every call but those that are K modulo N is left out.
 * Prints what went wrong and, for each place, a line `site NAME ADDRESS CALLS FAILURES
 * TRIED CODES`: the address as in the file, and of which of so many errors (a bit for
 * each) one was tried. Returns how many runs went wrong. */
int tally_run(int argc, char **argv, const char *(*play)(void));

#endif
