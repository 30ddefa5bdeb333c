/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* The daemon from outside: who gets a terminal, in which order. */
#include "tests/unit/two_terminals.h"

/* --- helpers --------------------------------------------------------------- */

static void client(struct conn *c, int which)
{
	conn_ready(c, d.socket, tty[which]);
}

/* A process of its own that locks terminal 0, says so, and then does `then`. */
struct other {
	pid_t pid;
	int told; /* readable once it has its answer */
};

enum then { THEN_STAY, THEN_RELEASE_AND_EXIT, THEN_LEAVE_CHILD };

static struct other other_start(enum then then)
{
	struct other o;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	o.pid = fork();
	assert_true(o.pid >= 0);
	if (o.pid == 0) {
		struct conn c;
		ttylock_Envelope e;

		sigset_t usr1;

		sigemptyset(&usr1);
		sigaddset(&usr1, SIGUSR1);
		sigprocmask(SIG_BLOCK, &usr1, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		client(&c, 0);
		say_lock(&c, 1, 1);
		conn_recv(&c, &e);
		if (then == THEN_LEAVE_CHILD && fork() == 0) {
			/* It keeps the socket open, and lives on. */
			signal(SIGTERM, SIG_DFL);
			prctl(PR_SET_PDEATHSIG, 0);
			char pid[16];
			int n = snprintf(pid, sizeof(pid), "c%d", (int)getpid());
			if (write(p[1], pid, (size_t)n + 1) < 0)
				_exit(1);
			alarm(60);
			for (;;)
				pause();
		}
		if (then != THEN_LEAVE_CHILD && write(p[1], "q", 1) != 1)
			_exit(1);
		if (then == THEN_RELEASE_AND_EXIT) {
			int sig;

			sigwait(&usr1, &sig);
			e = envelope(ttylock_Envelope_terminal_state_tag);
			e.body.terminal_state.request = 1;
			e.body.terminal_state.saved.size = 192;
			for (int i = 0; i < 20; i++)
				conn_send(&c, &e);
			say_release(&c, 1);
			_exit(0);
		}
		for (;;)
			pause();
	}
	close(p[1]);
	o.told = p[0];
	return o;
}

static void other_kill(struct other *o)
{
	kill(o->pid, SIGKILL);
	status_within(o->pid);
	close(o->told);
}

/* --- tests ------------------------------------------------------------------ */

static void lock_is_granted(void **state)
{
	struct conn c;
	char name[64];
	static const uint8_t zero[16];

	(void)state;
	client(&c, 0);
	say_lock(&c, 7, 1);
	ttylock_LockStatus s = expect_status(&c, ttylock_State_STATE_GRANTED);
	assert_int_equal(ttyname_r(tty[0], name, sizeof(name)), 0);
	assert_int_equal(s.request, 7);
	assert_true(s.id > 0);
	assert_int_equal(s.position, 0);
	assert_string_equal(s.terminal, name);
	assert_int_equal(s.token.size, 16);
	assert_memory_not_equal(s.token.bytes, zero, 16);
	assert_false(s.dirty);
	say_release(&c, 7);
	say_lock(&c, 7, 1); /* the number is free again */
	assert_true(expect_status(&c, ttylock_State_STATE_GRANTED).id > s.id);
	conn_close(&c);
}

static void first_come_first_served(void **state)
{
	struct conn c[6];
	ttylock_LockStatus s;
	uint64_t first = 0;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		client(&c[i], 0);
		say_lock(&c[i], 1, i);
		s = expect_status(
		    &c[i], i ? ttylock_State_STATE_QUEUED : ttylock_State_STATE_GRANTED);
		first = i ? first : s.id;
		assert_int_equal(s.position, i);
		if (i) {
			assert_int_equal(s.waiters, i - 1);
			assert_true(s.has_holder);
			assert_int_equal(s.holder.id, first);
			assert_int_equal(s.holder.pid, getpid());
			assert_string_equal(s.holder.text, "why");
		}
	}
	for (unsigned i = 0; i < 6; i++) {
		if (i) {
			s = expect_status(&c[i], ttylock_State_STATE_GRANTED);
			assert_int_equal(s.waiters, 5 - i);
			assert_false(s.dirty);
		}
		say_release(&c[i], 1);
	}
	for (int i = 0; i < 6; i++)
		conn_close(&c[i]);
}

static void two_terminals_are_two_locks(void **state)
{
	struct conn a, b;

	(void)state;
	client(&a, 0);
	client(&b, 1);
	say_lock(&a, 1, 1);
	say_lock(&b, 1, 1);
	expect_status(&a, ttylock_State_STATE_GRANTED);
	expect_status(&b, ttylock_State_STATE_GRANTED);
	/* And one connection can use both. */
	assert_true(say_open(&a, 3, tty[1]));
	ttylock_Envelope e = lock_request(2, 1);
	e.body.lock_request.terminal = 3;
	conn_send(&a, &e);
	/* Another task of the same process: its own request there comes first. */
	ttylock_LockStatus s = expect_status(&a, ttylock_State_STATE_REFUSED);
	assert_int_equal(s.code, ttylock_Code_ERROR_DEADLOCK);
	e.body.lock_request.task.id = 2;
	conn_send(&a, &e);
	expect_status(&a, ttylock_State_STATE_QUEUED);
	say_release(&b, 1);
	expect_status(&a, ttylock_State_STATE_GRANTED);
	conn_close(&a);
	conn_close(&b);
}

static void double_lock_is_refused(void **state)
{
	struct conn a, b;

	(void)state;
	client(&a, 0);
	client(&b, 0);
	say_lock(&a, 1, 1);
	expect_status(&a, ttylock_State_STATE_GRANTED);
	say_lock(&a, 2, 1);
	ttylock_LockStatus s = expect_status(&a, ttylock_State_STATE_REFUSED);
	assert_int_equal(s.code, ttylock_Code_ERROR_DEADLOCK);
	assert_int_equal(s.request, 2);
	say_lock(&b, 1, 1); /* the same process and task by another connection */
	assert_int_equal(
	    expect_status(&b, ttylock_State_STATE_REFUSED).code, ttylock_Code_ERROR_DEADLOCK);
	say_lock(&b, 2, 2);
	expect_status(&b, ttylock_State_STATE_QUEUED);
	say_release(&a, 1);
	expect_status(&b, ttylock_State_STATE_GRANTED);
	conn_close(&a);
	conn_close(&b);
}

static void nonblock_is_refused_busy(void **state)
{
	struct conn a, b;
	ttylock_Envelope e = lock_request(1, 2);

	(void)state;
	client(&a, 0);
	client(&b, 0);
	say_lock(&a, 1, 1);
	uint64_t id = expect_status(&a, ttylock_State_STATE_GRANTED).id;
	e.body.lock_request.nonblock = true;
	conn_send(&b, &e);
	ttylock_LockStatus s = expect_status(&b, ttylock_State_STATE_REFUSED);
	assert_int_equal(s.code, ttylock_Code_ERROR_BUSY);
	assert_int_equal(s.holder.id, id);
	conn_close(&a);
	conn_close(&b);
}

static void closed_holder_leaves_its_state(void **state)
{
	struct conn a, b, c;
	ttylock_Envelope e = envelope(ttylock_Envelope_terminal_state_tag);

	(void)state;
	client(&a, 0);
	client(&b, 0);
	say_lock(&a, 1, 1);
	expect_status(&a, ttylock_State_STATE_GRANTED);
	e.body.terminal_state.request = 1;
	e.body.terminal_state.saved.size = 192;
	memset(e.body.terminal_state.saved.bytes, 0xa5, 192);
	conn_send(&a, &e);
	say_lock(&b, 1, 2);
	expect_status(&b, ttylock_State_STATE_QUEUED);
	conn_close(&a);
	ttylock_LockStatus s = expect_status(&b, ttylock_State_STATE_GRANTED);
	assert_true(s.dirty);
	assert_int_equal(s.saved.size, 192);
	assert_memory_equal(s.saved.bytes, e.body.terminal_state.saved.bytes, 192);
	/* It stays when nobody is left, and goes with a clean release. */
	conn_close(&b);
	client(&c, 0);
	say_lock(&c, 1, 3);
	s = expect_status(&c, ttylock_State_STATE_GRANTED);
	assert_true(s.dirty);
	assert_int_equal(s.saved.size, 192);
	say_release(&c, 1);
	say_lock(&c, 2, 3);
	s = expect_status(&c, ttylock_State_STATE_GRANTED);
	assert_false(s.dirty);
	assert_int_equal(s.saved.size, 0);
	conn_close(&c);
}

static void say_cancel(struct conn *c, uint64_t request)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_lock_cancel_tag);

	e.body.lock_cancel.request = request;
	conn_send(c, &e);
}

/* Its cancel may have crossed the grant: it has mended nothing. */
static void who_cancels_a_grant_leaves_what_the_dead_left(void **state)
{
	struct conn a, b, c;
	ttylock_Envelope e = envelope(ttylock_Envelope_terminal_state_tag);

	(void)state;
	client(&a, 0);
	client(&b, 0);
	client(&c, 0);
	say_lock(&a, 1, 1);
	expect_status(&a, ttylock_State_STATE_GRANTED);
	e.body.terminal_state.request = 1;
	e.body.terminal_state.saved.size = 3;
	conn_send(&a, &e);
	say_lock(&b, 1, 2);
	expect_status(&b, ttylock_State_STATE_QUEUED);
	say_lock(&c, 1, 3);
	expect_status(&c, ttylock_State_STATE_QUEUED);
	conn_close(&a);
	assert_true(expect_status(&b, ttylock_State_STATE_GRANTED).dirty);
	say_cancel(&b, 1);
	ttylock_LockStatus s = expect_status(&c, ttylock_State_STATE_GRANTED);
	assert_true(s.dirty);
	assert_int_equal(s.saved.size, 3);
	/* But not so once it has begun. */
	say_lock(&b, 2, 2);
	expect_status(&b, ttylock_State_STATE_QUEUED);
	conn_send(&c, &e);
	say_cancel(&c, 1);
	assert_false(expect_status(&b, ttylock_State_STATE_GRANTED).dirty);
	say_release(&b, 2);
	conn_close(&b);
	conn_close(&c);
}

static void killed_holder_is_followed_at_once(void **state)
{
	struct conn c;

	(void)state;
	client(&c, 0);
	for (uint64_t i = 1; i <= 30; i++) {
		struct other o = other_start(THEN_STAY);

		assert_int_equal(byte_read(o.told), 'q');
		say_lock(&c, i, 1);
		ttylock_LockStatus s = expect_status(&c, ttylock_State_STATE_QUEUED);
		assert_int_equal(s.holder.pid, o.pid);
		assert_string_equal(s.holder.comm, "test_daemon");
		other_kill(&o);
		s = expect_status(&c, ttylock_State_STATE_GRANTED);
		assert_true(s.dirty);
		say_release(&c, i);
	}
	conn_close(&c);
}

/* EOF would come only with the child's end. */
static void child_with_the_socket_holds_nothing(void **state)
{
	struct other o = other_start(THEN_LEAVE_CHILD);
	struct conn c;
	char pid[16] = {0};

	(void)state;
	assert_int_equal(byte_read(o.told), 'c');
	assert_true(read(o.told, pid, sizeof(pid) - 1) > 0);
	client(&c, 0);
	say_lock(&c, 1, 1);
	expect_status(&c, ttylock_State_STATE_QUEUED);
	other_kill(&o);
	expect_status(&c, ttylock_State_STATE_GRANTED);
	assert_int_equal(kill(atoi(pid), 0), 0); /* it was alive all the time */
	kill(atoi(pid), SIGKILL);
	conn_close(&c);
}

/* The daemon finds a process dead and much unread in its socket, a release at
 * the end of it: the release was first. */
static void release_before_exit_is_clean(void **state)
{
	struct conn c;
	int status;

	(void)state;
	client(&c, 0);
	for (uint64_t i = 1; i <= 5; i++) {
		struct other o = other_start(THEN_RELEASE_AND_EXIT);

		assert_int_equal(byte_read(o.told), 'q');
		say_lock(&c, i, 1);
		expect_status(&c, ttylock_State_STATE_QUEUED);
		kill(d.pid, SIGSTOP);
		assert_int_equal(waitpid(d.pid, &status, WUNTRACED), d.pid);
		kill(o.pid, SIGUSR1);
		assert_int_equal(status_within(o.pid), 0);
		kill(d.pid, SIGCONT);
		ttylock_LockStatus s = expect_status(&c, ttylock_State_STATE_GRANTED);
		assert_false(s.dirty);
		assert_int_equal(s.saved.size, 0);
		say_release(&c, i);
		status_all(&c, NULL, 0);
		close(o.told);
	}
	conn_close(&c);
}

/* A dead waiter that the daemon has not heard of is no candidate. */
static void dead_waiter_is_passed_over(void **state)
{
	struct conn holder, last;
	int status;

	(void)state;
	client(&holder, 0);
	client(&last, 0);
	for (uint64_t i = 1; i <= 10; i++) {
		say_lock(&holder, i, 1);
		expect_status(&holder, ttylock_State_STATE_GRANTED);
		struct other o[3];
		for (int k = 0; k < 3; k++) {
			o[k] = other_start(THEN_STAY);
			assert_int_equal(byte_read(o[k].told), 'q');
		}
		say_lock(&last, i, 2);
		expect_status(&last, ttylock_State_STATE_QUEUED);
		/* Stopped, it meets the release and the deaths in one look. */
		kill(d.pid, SIGSTOP);
		assert_int_equal(waitpid(d.pid, &status, WUNTRACED), d.pid);
		say_release(&holder, i);
		for (int k = 0; k < 3; k++)
			other_kill(&o[k]);
		kill(d.pid, SIGCONT);
		assert_false(expect_status(&last, ttylock_State_STATE_GRANTED).dirty);
		say_release(&last, i);
		status_all(&last, NULL, 0); /* it has arrived */
	}
	conn_close(&holder);
	conn_close(&last);
}

static void cancel_of_ones_own_is_silent(void **state)
{
	struct conn a, b, c;
	ttylock_Envelope e = envelope(ttylock_Envelope_lock_cancel_tag);

	(void)state;
	client(&a, 0);
	client(&b, 0);
	client(&c, 0);
	say_lock(&a, 1, 1);
	expect_status(&a, ttylock_State_STATE_GRANTED);
	say_lock(&b, 5, 2);
	expect_status(&b, ttylock_State_STATE_QUEUED);
	say_lock(&c, 1, 3);
	expect_status(&c, ttylock_State_STATE_QUEUED);
	e.body.lock_cancel.request = 5;
	conn_send(&b, &e);
	conn_send(&b, &e); /* unknown by now: nothing */
	say_release(&b, 99);
	assert_int_equal(status_all(&b, NULL, 0), 2); /* no other answer before it */
	say_release(&a, 1);
	expect_status(&c, ttylock_State_STATE_GRANTED);
	/* A cancel that crossed the grant releases. */
	e.body.lock_cancel.request = 1;
	conn_send(&c, &e);
	status_all(&c, NULL, 0);
	say_lock(&a, 2, 1);
	assert_false(expect_status(&a, ttylock_State_STATE_GRANTED).dirty);
	conn_close(&a);
	conn_close(&b);
	conn_close(&c);
}

static void status_is_in_order(void **state)
{
	struct conn a, b, c;
	ttylock_Entry e[4];

	(void)state;
	client(&a, 0);
	client(&b, 1);
	client(&c, 0);
	assert_int_equal(status_all(&a, e, 4), 0);
	say_lock(&a, 1, 1);
	say_lock(&a, 2, 2);
	expect_status(&a, ttylock_State_STATE_GRANTED);
	expect_status(&a, ttylock_State_STATE_QUEUED);
	say_lock(&b, 1, 1);
	expect_status(&b, ttylock_State_STATE_GRANTED);
	say_lock(&c, 1, 3);
	expect_status(&c, ttylock_State_STATE_QUEUED);
	assert_int_equal(status_all(&c, e, 4), 4);
	/* Ids count in order of asking. */
	static const uint32_t ids[] = {1, 2, 4, 3}, positions[] = {0, 1, 2, 0};
	uint64_t base = e[0].id - 1;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(e[i].id - base, ids[i]);
		assert_int_equal(e[i].position, positions[i]);
		assert_int_equal(e[i].uid, getuid());
		assert_string_equal(e[i].subject_comm, "test_daemon");
		assert_int_equal(e[i].subject_pid, getpid());
		assert_int_equal(e[i].reason, ttylock_Reason_REASON_COMMAND);
		assert_string_equal(e[i].task.name, "task");
		assert_false(e[i].hidden);
	}
	conn_close(&a);
	conn_close(&b);
	conn_close(&c);
}

static void expect_event(struct conn *w, ttylock_EventKind kind, uint64_t id)
{
	ttylock_Envelope e;

	expect(w, ttylock_Envelope_event_tag, &e);
	assert_int_equal(e.body.event.kind, kind);
	assert_int_equal(e.body.event.entry.id, id);
}

static void watcher_sees_each_change(void **state)
{
	struct conn w, a, b;
	ttylock_Envelope watch = envelope(ttylock_Envelope_watch_tag);

	(void)state;
	client(&w, 0);
	conn_send(&w, &watch);
	conn_send(&w, &watch); /* twice is once */
	status_all(&w, NULL, 0);
	client(&a, 0);
	client(&b, 0);
	say_lock(&a, 1, 1);
	uint64_t ia = expect_status(&a, ttylock_State_STATE_GRANTED).id;
	expect_event(&w, ttylock_EventKind_EVENT_GRANTED, ia);
	say_lock(&b, 1, 2);
	uint64_t ib = expect_status(&b, ttylock_State_STATE_QUEUED).id;
	expect_event(&w, ttylock_EventKind_EVENT_QUEUED, ib);
	conn_close(&a);
	expect_event(&w, ttylock_EventKind_EVENT_DIED, ia);
	expect_event(&w, ttylock_EventKind_EVENT_GRANTED, ib);
	say_lock(&b, 2, 3);
	uint64_t ic = expect_status(&b, ttylock_State_STATE_GRANTED).id;
	assert_int_equal(ic, ib);
	ic = expect_status(&b, ttylock_State_STATE_QUEUED).id;
	expect_event(&w, ttylock_EventKind_EVENT_QUEUED, ic);
	say_release(&b, 2);
	expect_event(&w, ttylock_EventKind_EVENT_CANCELLED, ic);
	say_release(&b, 1);
	expect_event(&w, ttylock_EventKind_EVENT_RELEASED, ib);
	conn_close(&b);
	conn_close(&w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(lock_is_granted),
	    TEST(first_come_first_served),
	    TEST(two_terminals_are_two_locks),
	    TEST(double_lock_is_refused),
	    TEST(nonblock_is_refused_busy),
	    TEST(closed_holder_leaves_its_state),
	    TEST(who_cancels_a_grant_leaves_what_the_dead_left),
	    TEST(killed_holder_is_followed_at_once),
	    TEST(child_with_the_socket_holds_nothing),
	    TEST(release_before_exit_is_clean),
	    TEST(dead_waiter_is_passed_over),
	    TEST(cancel_of_ones_own_is_silent),
	    TEST(status_is_in_order),
	    TEST(watcher_sees_each_change),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
