/* tally: plays one run for each call and each of its errors, and counts.
 *
 * First the calls of the run in which nothing fails. What is called only because one
 * of these failed may fail after that, on top of it.
 */
#ifndef TTYLOCK_TESTS_TALLY_H
#define TTYLOCK_TESTS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* play: one run, with the orders that are set: NULL, or what is wrong. Arguments: `K N`:
 * every call but those that are K modulo N is left out; where N is more than two, so is
 * what only failures lead to. Prints what went wrong, as
 * `not ok - ADDRESS/CALL/WHICH...: why (what failed)`, and, for each place, a line `site NAME
 * ADDRESS CALLS FAILURES TRIED CODES`: the address as in the file, and of which of so many errors
 * (a bit for each) one was tried. Returns how many runs went wrong. */
int tally_run(int argc, char **argv, const char *(*play)(void));

/* Again one of those that went wrong: `ADDRESS/CALL/WHICH...`, as it was printed. */
int tally_again(int argc, char **argv, const char *(*play)(void));

#endif
