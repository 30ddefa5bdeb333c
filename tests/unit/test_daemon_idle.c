/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* The daemon from outside: waiting until nobody is at a terminal for a process or
 * for one below it, and asking who is. */
#include "tests/unit/wire.h"

static struct daemon d;
static int master, tty;
static struct conn holder, second, asker;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(openpty(&master, &tty, NULL, NULL, NULL), 0);
	daemon_dir(&d);
	daemon_start(&d, false);
	conn_ready(&holder, d.socket, tty);
	conn_ready(&second, d.socket, tty);
	conn_ready(&asker, d.socket, tty);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conn_close(&holder);
	conn_close(&second);
	conn_close(&asker);
	daemon_stop(&d);
	daemon_dir_remove(&d);
	close(tty);
	close(master);
	return 0;
}

/* --- helpers --------------------------------------------------------------- */

/* A process that does nothing, named so, and a child of it that does neither. */
struct family {
	pid_t parent, child;
	int end; /* closing it ends the child, and then the parent */
};

static struct family family_start(const char *name)
{
	struct family f;
	int p[2], told[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	f.parent = fork();
	assert_true(f.parent >= 0);
	if (f.parent == 0) {
		char c;

		close(p[1]);
		prctl(PR_SET_NAME, name);
		pid_t child = fork();
		if (child == 0) {
			pid_t self = getpid();

			if (write(told[1], &self, sizeof(self)) != sizeof(self) ||
			    read(p[0], &c, 1) != 0)
				_exit(1);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		_exit(0);
	}
	close(p[0]);
	f.end = p[1];
	assert_int_equal(read(told[0], &f.child, sizeof(f.child)), sizeof(f.child));
	close(told[0]);
	close(told[1]);
	return f;
}

static void family_end(struct family *f)
{
	close(f->end);
	status_within(f->parent);
}

static uint64_t lock_for(
    struct conn *c, uint64_t request, uint64_t task, pid_t subject, ttylock_State state)
{
	ttylock_Envelope e = lock_request(request, task);

	e.body.lock_request.subject_pid = subject;
	assert_true(conn_send(c, &e));
	return expect_status(c, state).id;
}

static void ask_idle(struct conn *c, uint64_t query, pid_t below)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_wait_idle_tag);

	e.body.wait_idle.query = query;
	e.body.wait_idle.below = below;
	assert_true(conn_send(c, &e));
}

static void expect_idle(struct conn *c, uint64_t query)
{
	ttylock_Envelope e;

	expect(c, ttylock_Envelope_status_report_tag, &e);
	assert_int_equal(e.body.status_report.query, query);
	assert_true(e.body.status_report.last);
	assert_false(e.body.status_report.has_entry);
}

/* status_all asks as query 77: an answer of ours before it would fail there. */
static void still_waits(struct conn *c)
{
	status_all(c, NULL, 0);
}

static size_t count_below(struct conn *c, pid_t below)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_status_query_tag);
	size_t n = 0;

	e.body.status_query.query = 5;
	e.body.status_query.below = below;
	assert_true(conn_send(c, &e));
	for (;;) {
		expect(c, ttylock_Envelope_status_report_tag, &e);
		assert_int_equal(e.body.status_report.query, 5);
		if (e.body.status_report.last)
			return n;
		n++;
	}
}

/* --- tests ------------------------------------------------------------------ */

static void idle_now_is_told_at_once(void **state)
{
	(void)state;
	ask_idle(&asker, 3, getpid());
	expect_idle(&asker, 3);
	/* It is for a process above us, though we own it. */
	lock_for(&holder, 1, 1, getppid(), ttylock_State_STATE_GRANTED);
	ask_idle(&asker, 4, getpid());
	expect_idle(&asker, 4);
}

static void subject_counts_with_all_above_it(void **state)
{
	struct family f = family_start(") S 1 (");

	(void)state;
	lock_for(&holder, 1, 1, f.child, ttylock_State_STATE_GRANTED);
	const pid_t busy[] = {f.child, f.parent, getpid(), getppid()};
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(count_below(&asker, busy[i]), 1);
		ask_idle(&asker, i + 1, busy[i]);
		still_waits(&asker);
	}
	assert_int_equal(count_below(&asker, d.pid), 0);
	ask_idle(&asker, 9, d.pid);
	expect_idle(&asker, 9);
	say_release(&holder, 1);
	bool told[5] = {false};
	for (int i = 0; i < 4; i++) {
		ttylock_Envelope e;

		expect(&asker, ttylock_Envelope_status_report_tag, &e);
		assert_in_range(e.body.status_report.query, 1, 4);
		assert_false(told[e.body.status_report.query]);
		told[e.body.status_report.query] = true;
	}
	family_end(&f);
}

static void without_subject_the_owner_counts(void **state)
{
	(void)state;
	lock_for(&holder, 1, 1, 0, ttylock_State_STATE_GRANTED);
	assert_int_equal(count_below(&asker, getpid()), 1);
	ask_idle(&asker, 1, getpid());
	still_waits(&asker);
	say_release(&holder, 1);
	expect_idle(&asker, 1);
}

/* No moment between one holder and the next looks idle; nor does a waiter that
 * has come since. */
static void hand_over_is_not_idle(void **state)
{
	struct family f = family_start("family");

	(void)state;
	lock_for(&holder, 1, 1, f.child, ttylock_State_STATE_GRANTED);
	ask_idle(&asker, 1, f.parent);
	for (uint64_t i = 2; i < 6; i++) {
		lock_for(&second, i, i, i % 2 ? f.child : f.parent, ttylock_State_STATE_QUEUED);
		say_release(i == 2 ? &holder : &second, i - 1);
		expect_status(&second, ttylock_State_STATE_GRANTED);
		still_waits(&asker);
	}
	/* One of a stranger's follows: that is idle. */
	lock_for(&holder, 7, 7, getpid(), ttylock_State_STATE_QUEUED);
	say_release(&second, 5);
	expect_idle(&asker, 1);
	expect_status(&holder, ttylock_State_STATE_GRANTED);
	family_end(&f);
}

/* Both wait on the same request; only one of them goes on with the next. */
static void each_waits_for_its_own(void **state)
{
	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct family f = family_start("family");

		lock_for(&holder, 1, 1, f.child, ttylock_State_STATE_GRANTED);
		lock_for(&second, 1, 2, f.parent, ttylock_State_STATE_QUEUED);
		ask_idle(&asker, 1, turn ? f.child : f.parent);
		ask_idle(&asker, 2, turn ? f.parent : f.child);
		still_waits(&asker);
		say_release(&holder, 1);
		expect_idle(&asker, turn ? 1 : 2);
		still_waits(&asker);
		expect_status(&second, ttylock_State_STATE_GRANTED);
		say_release(&second, 1);
		expect_idle(&asker, turn ? 2 : 1);
		family_end(&f);
	}
}

static void cancelled_and_dead_waiters_end_it(void **state)
{
	(void)state;
	lock_for(&holder, 1, 1, getppid(), ttylock_State_STATE_GRANTED);
	lock_for(&second, 1, 2, getpid(), ttylock_State_STATE_QUEUED);
	ask_idle(&asker, 1, getpid());
	still_waits(&asker);
	say_release(&second, 1);
	expect_idle(&asker, 1);
	lock_for(&second, 1, 2, getpid(), ttylock_State_STATE_QUEUED);
	ask_idle(&asker, 2, getpid());
	still_waits(&asker);
	conn_close(&second);
	expect_idle(&asker, 2);
	conn_ready(&second, d.socket, tty);
}

/* As it was when it was asked: the subject's end changes nothing. */
static void ancestry_is_of_the_asking(void **state)
{
	struct family f = family_start("family");

	(void)state;
	lock_for(&holder, 1, 1, f.child, ttylock_State_STATE_GRANTED);
	family_end(&f);
	assert_int_equal(count_below(&asker, getpid()), 1);
	ask_idle(&asker, 1, getpid());
	still_waits(&asker);
	say_release(&holder, 1);
	expect_idle(&asker, 1);
}

static void say_hello_of(struct conn *c, uint64_t tree)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_hello_tag);

	conn_open(c, d.socket);
	e.body.hello.version = 1;
	e.body.hello.tree = tree;
	assert_true(conn_send(c, &e));
	expect(c, ttylock_Envelope_welcome_tag, &e);
	assert_true(say_open(c, 0, tty));
}

static void tree_of_the_hello(void **state)
{
	struct conn one, two, agent;

	(void)state;
	say_hello_of(&one, 1);
	say_hello_of(&two, 2);
	say_hello_of(&agent, 1);
	lock_for(&two, 1, 1, 0, ttylock_State_STATE_GRANTED);
	ask_idle(&agent, 1, 0);
	expect_idle(&agent, 1);
	lock_for(&one, 1, 2, 0, ttylock_State_STATE_QUEUED);
	ask_idle(&agent, 2, 0);
	still_waits(&agent);
	say_release(&two, 1);
	expect_status(&one, ttylock_State_STATE_GRANTED);
	still_waits(&agent);
	conn_close(&one);
	expect_idle(&agent, 2);
	ask_idle(&asker, 3, 0); /* of no tree */
	expect_error(&asker, ttylock_Code_ERROR_INVALID);
	conn_close(&two);
	conn_close(&agent);
}

static void bad_pids_are_refused(void **state)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_status_query_tag);

	(void)state;
	ask_idle(&asker, 6, -1);
	expect(&asker, ttylock_Envelope_error_tag, &e);
	assert_int_equal(e.body.error.code, ttylock_Code_ERROR_INVALID);
	assert_int_equal(e.body.error.ref, 6);
	e = envelope(ttylock_Envelope_status_query_tag);
	e.body.status_query.below = -1;
	assert_true(conn_send(&asker, &e));
	expect_error(&asker, ttylock_Code_ERROR_INVALID);
}

static void sixteen_on_a_connection(void **state)
{
	ttylock_Envelope e;

	(void)state;
	lock_for(&holder, 1, 1, 0, ttylock_State_STATE_GRANTED);
	for (uint64_t i = 1; i <= 17; i++)
		ask_idle(&asker, i, i % 2 ? getpid() : getppid());
	expect(&asker, ttylock_Envelope_error_tag, &e);
	assert_int_equal(e.body.error.code, ttylock_Code_ERROR_QUOTA);
	assert_int_equal(e.body.error.ref, 17);
	ask_idle(&second, 1, getpid()); /* another has its own */
	ask_idle(&asker, 18, d.pid);	/* an answer at once needs none */
	expect_idle(&asker, 18);
	say_release(&holder, 1);
	for (int i = 0; i < 16; i++)
		expect(&asker, ttylock_Envelope_status_report_tag, &e);
	expect_idle(&second, 1);
	lock_for(&holder, 1, 1, 0, ttylock_State_STATE_GRANTED);
	ask_idle(&asker, 1, getpid()); /* they were given back */
	still_waits(&asker);
	say_release(&holder, 1);
	expect_idle(&asker, 1);
}

static void waits_die_with_their_connection(void **state)
{
	(void)state;
	lock_for(&holder, 1, 1, 0, ttylock_State_STATE_GRANTED);
	for (int round = 0; round < 3; round++) {
		struct conn c[3];

		for (int i = 0; i < 3; i++) {
			conn_ready(&c[i], d.socket, tty);
			ask_idle(&c[i], 1, getpid());
			ask_idle(&c[i], 2, getppid());
			still_waits(&c[i]);
		}
		/* The first, the middle and the last of the list go first. */
		for (int i = 0; i < 3; i++)
			conn_close(&c[(i + round) % 3]);
	}
	/* Its own requests keep one waiting, and go with it. */
	lock_for(&second, 1, 2, 0, ttylock_State_STATE_QUEUED);
	ask_idle(&second, 1, getpid());
	still_waits(&second);
	conn_close(&second);
	conn_ready(&second, d.socket, tty);
	ask_idle(&asker, 1, getpid());
	say_release(&holder, 1);
	expect_idle(&asker, 1);
}

static void become(uid_t uid)
{
	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* another user's may not inherit it */
}

/* Whether a user who has nothing to do with us sees somebody below us. */
static bool busy_to_a_stranger(void)
{
	pid_t us = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct conn c;
		ttylock_Envelope e;

		become(2345);
		conn_open(&c, d.socket);
		say_hello(&c);
		bool busy = count_below(&c, us) > 0;
		ask_idle(&c, 5, us);
		say_number(&c, ttylock_Envelope_status_query_tag, 77);
		expect(&c, ttylock_Envelope_status_report_tag, &e);
		_exit((e.body.status_report.query == 77) != busy ? 2 : busy);
	}
	int status = status_within(pid);
	assert_true(WIFEXITED(status));
	assert_in_range(WEXITSTATUS(status), 0, 1);
	return WEXITSTATUS(status) == 1;
}

/* Whom a request is for is its owner's claim: a stranger's keeps nobody waiting,
 * root's does. */
static void strangers_keep_nobody_waiting(void **state)
{
	int told[2];

	(void)state;
	if (getuid() != 0)
		skip();
	assert_int_equal(chmod(d.dir, 0755), 0);
	assert_int_equal(chmod(d.socket, 0666), 0);
	lock_for(&holder, 1, 1, getpid(), ttylock_State_STATE_GRANTED);
	assert_true(busy_to_a_stranger());
	say_release(&holder, 1);

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid_t us = getpid(), pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct conn c;

		become(1234);
		conn_ready(&c, d.socket, tty);
		lock_for(&c, 1, 1, us, ttylock_State_STATE_GRANTED);
		if (write(told[1], "g", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(byte_read(told[0]), 'g');
	close(told[0]);
	close(told[1]);
	assert_false(busy_to_a_stranger());
	assert_int_equal(count_below(&asker, us), 1); /* we are root, and see it */
	kill(pid, SIGKILL);
	status_within(pid);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(idle_now_is_told_at_once),
	    TEST(subject_counts_with_all_above_it),
	    TEST(without_subject_the_owner_counts),
	    TEST(hand_over_is_not_idle),
	    TEST(each_waits_for_its_own),
	    TEST(cancelled_and_dead_waiters_end_it),
	    TEST(ancestry_is_of_the_asking),
	    TEST(tree_of_the_hello),
	    TEST(bad_pids_are_refused),
	    TEST(sixteen_on_a_connection),
	    TEST(waits_die_with_their_connection),
	    TEST(strangers_keep_nobody_waiting),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
