/* two_terminals: a daemon and two terminals for each test. For cmocka's set-up and
 * tear-down.
 */
#ifndef TTYLOCK_TESTS_TWO_TERMINALS_H
#define TTYLOCK_TESTS_TWO_TERMINALS_H

#include "tests/unit/wire.h"

static struct daemon d;
static int master[2], tty[2];

static inline int setup(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(openpty(&master[i], &tty[i], NULL, NULL, NULL), 0);
	daemon_dir(&d);
	daemon_start(&d, false);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	daemon_stop(&d);
	daemon_dir_remove(&d);
	for (int i = 0; i < 2; i++) {
		close(tty[i]);
		close(master[i]);
	}
	return 0;
}

#endif
