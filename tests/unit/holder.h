/* holder: a daemon whose terminal somebody holds through a whole test; whatever others
 * do meanwhile, it still holds afterwards. For cmocka's set-up and tear-down.
 */
#ifndef TTYLOCK_TESTS_HOLDER_H
#define TTYLOCK_TESTS_HOLDER_H

#include "tests/unit/wire.h"

static struct daemon d;
static int master, tty;
static struct conn holder; /* holds terminal 0 through every test */

static inline int setup(void **state)
{
	(void)state;
	assert_int_equal(openpty(&master, &tty, NULL, NULL, NULL), 0);
	daemon_dir(&d);
	daemon_start(&d, false);
	conn_ready(&holder, d.socket, tty);
	say_lock(&holder, 1, 1);
	expect_status(&holder, ttylock_State_STATE_GRANTED);
	return 0;
}

/* The holder still holds, and nobody else is there. */
static inline int teardown(void **state)
{
	ttylock_Entry e[2];

	(void)state;
	assert_int_equal(status_all(&holder, e, 2), 1);
	assert_int_equal(e[0].position, 0);
	say_release(&holder, 1);
	say_lock(&holder, 2, 1);
	assert_false(expect_status(&holder, ttylock_State_STATE_GRANTED).dirty);
	conn_close(&holder);
	daemon_stop(&d);
	daemon_dir_remove(&d);
	close(tty);
	close(master);
	return 0;
}

static inline void greeted(struct conn *c)
{
	conn_open(c, d.socket);
	say_hello(c);
}

/* Waits until the daemon has done all that was sent before. */
static inline void settle(struct conn *c)
{
	status_all(c, NULL, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
