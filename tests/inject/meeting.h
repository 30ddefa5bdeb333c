/* meeting: where one thread stands until another has come, so that what two do at once
 * is no matter of chance. Async-signal-safe; one at a time.
 */
#ifndef TTYLOCK_TESTS_MEETING_H
#define TTYLOCK_TESTS_MEETING_H

#include <stdbool.h>

/* Who is the next to call that, while calls count, stands there until is_met() says so, two
 * seconds at most. Any call of calls.py, or sigaction. */
void meeting_at(const char *name, bool (*is_met)(void));
/* Until somebody stands there, two seconds at most: it may not come to it. */
void meeting_await(void);

#endif
