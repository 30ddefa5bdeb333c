/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* Clients that do not read what the daemon says: what they hold stays theirs, and
 * what lies unread is bounded. */
#include "tests/unit/wire.h"

/* Statuses of so many requests are more than may lie unread. */
#define MANY 16000

static struct daemon d;
static int master, tty, other_master, other_tty;
static struct conn holder, deaf; /* holder holds terminal 1 */
static uint64_t ids[MANY];

static int setup(void **state)
{
	(void)state;
	assert_int_equal(openpty(&master, &tty, NULL, NULL, NULL), 0);
	assert_int_equal(openpty(&other_master, &other_tty, NULL, NULL, NULL), 0);
	daemon_dir(&d);
	daemon_start(&d, false);
	conn_ready(&holder, d.socket, tty);
	say_lock(&holder, 1, 1);
	expect_status(&holder, ttylock_State_STATE_GRANTED);
	conn_ready(&deaf, d.socket, tty);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conn_close(&holder);
	conn_close(&deaf);
	daemon_stop(&d);
	daemon_dir_remove(&d);
	close(tty);
	close(master);
	close(other_tty);
	close(other_master);
	return 0;
}

/* It waits MANY times, and has read that it does. */
static void queue_many(void)
{
	for (uint64_t i = 0; i < MANY; i += 100) {
		for (uint64_t k = 0; k < 100; k++)
			say_lock(&deaf, 100 + i + k, 100 + i + k);
		for (uint64_t k = 0; k < 100; k++)
			ids[i + k] = expect_status(&deaf, ttylock_State_STATE_QUEUED).id;
	}
}

/* Somebody takes them all out of the queue. */
static void cancel_many(void)
{
	ttylock_Envelope e;

	for (size_t i = 0; i < MANY; i += 100) {
		for (size_t k = 0; k < 100; k++)
			say_number(&holder, ttylock_Envelope_lock_cancel_tag, ids[i + k]);
		for (size_t k = 0; k < 100; k++)
			assert_true(conn_recv(&holder, &e));
	}
}

static void holder_is_kept(void **state)
{
	ttylock_Envelope e;
	ttylock_Entry entries[3];
	uint32_t cancelled = 0;

	(void)state;
	say_open(&deaf, 1, other_tty);
	e = lock_request(7, 7);
	e.body.lock_request.terminal = 1;
	conn_send(&deaf, &e);
	expect_status(&deaf, ttylock_State_STATE_GRANTED);
	queue_many();
	cancel_many();
	assert_int_equal(status_all(&holder, entries, 3), 2);
	/* Now it reads: nothing is missing. */
	while (cancelled < MANY) {
		expect(&deaf, ttylock_Envelope_lock_status_tag, &e);
		assert_int_equal(e.body.lock_status.state, ttylock_State_STATE_CANCELLED);
		cancelled++;
	}
	assert_int_equal(status_all(&deaf, entries, 3), 2);
}

static void waiter_is_dropped(void **state)
{
	ttylock_Envelope e;
	uint32_t cancelled = 0;

	(void)state;
	queue_many();
	cancel_many();
	assert_int_equal(status_all(&holder, NULL, 0), 1);
	while (conn_recv(&deaf, &e))
		cancelled++;
	assert_true(cancelled > 0 && cancelled < MANY);
}

/* Long answers of all connections of a user count together: in the end there is
 * an error instead of one, and no connection is lost. */
static void answers_are_bounded(void **state)
{
	enum { N = 64 };
	static struct conn c[N];
	int refused = 0;

	(void)state;
	queue_many();
	for (int i = 0; i < N; i++) {
		conn_open(&c[i], d.socket);
		say_hello(&c[i]);
		say_number(&c[i], ttylock_Envelope_status_query_tag, 5);
	}
	for (int i = 0; i < N; i++) {
		ttylock_Envelope e;

		assert_true(conn_recv(&c[i], &e));
		if (e.which_body == ttylock_Envelope_error_tag) {
			assert_int_equal(e.body.error.code, ttylock_Code_ERROR_QUOTA);
			refused++;
		}
	}
	assert_true(refused > 0 && refused < N);
	/* When they have gone there is room again. */
	for (int i = 0; i < N; i++)
		conn_close(&c[i]);
	assert_int_equal(status_all(&holder, NULL, 0), MANY + 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(holder_is_kept),
	    TEST(waiter_is_dropped),
	    TEST(answers_are_bounded),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
