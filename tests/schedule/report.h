/* report: a schedule that did not come about, for people. */
#ifndef TTYLOCK_TESTS_REPORT_H
#define TTYLOCK_TESTS_REPORT_H

#include "board.h"
#include "schedule.h"

/* Prints the schedule with the step that failed (-1: none of them) and why, and
 * where each actor stands (*b; NULL: nowhere yet). */
void report(const struct schedule *s, struct board *b, int failed, const char *why);

#endif
