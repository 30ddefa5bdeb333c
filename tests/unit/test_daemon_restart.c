/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* The daemon from outside: killed, started anew, and asked for what there was. */
#include "tests/unit/wire.h"

static struct daemon d;
static int master, tty;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(openpty(&master, &tty, NULL, NULL, NULL), 0);
	d.grace = d.program = NULL;
	daemon_dir(&d);
	daemon_start(&d, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	daemon_stop(&d);
	daemon_dir_remove(&d);
	close(tty);
	close(master);
	return 0;
}

/* --- helpers --------------------------------------------------------------- */

static void kill_daemon(void)
{
	kill(d.pid, SIGKILL);
	assert_true(WIFSIGNALED(status_within(d.pid)));
}

static void restart(void)
{
	kill_daemon();
	daemon_start(&d, false);
}

struct client {
	struct conn c;
	uint64_t task;
	ttylock_LockStatus last;
};

static struct client client(uint64_t task)
{
	struct client p = {.task = task};

	conn_ready(&p.c, d.socket, tty);
	return p;
}

static struct client asks(uint64_t task, ttylock_State state)
{
	struct client p = client(task);

	say_lock(&p.c, 1, task);
	p.last = expect_status(&p.c, state);
	assert_int_equal(p.last.token.size, 16);
	return p;
}

static ttylock_Envelope reclaim_of(const struct client *p, uint64_t number)
{
	ttylock_Envelope e = lock_request(number, 999);

	e.body.lock_request.reclaim.size = p->last.token.size;
	memcpy(e.body.lock_request.reclaim.bytes, p->last.token.bytes, p->last.token.size);
	return e;
}

/* On a new connection, as request 7: it is the same one. */
static void reclaims(struct client *p, ttylock_State state)
{
	ttylock_Envelope e = reclaim_of(p, 7);

	conn_close(&p->c);
	conn_ready(&p->c, d.socket, tty);
	assert_true(conn_send(&p->c, &e));
	ttylock_LockStatus s = expect_status(&p->c, state);
	assert_int_equal(s.request, 7);
	assert_int_equal(s.id, p->last.id);
	assert_memory_equal(s.token.bytes, p->last.token.bytes, 16);
	p->last = s;
}

static void is_granted(struct client *p)
{
	p->last = expect_status(&p->c, ttylock_State_STATE_GRANTED);
}

static void leaves(struct client *p)
{
	conn_close(&p->c);
}

static void saves(struct client *p, const char *bytes)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_terminal_state_tag);

	e.body.terminal_state.request = p->last.request;
	e.body.terminal_state.saved.size = (pb_size_t)strlen(bytes);
	memcpy(e.body.terminal_state.saved.bytes, bytes, strlen(bytes));
	assert_true(conn_send(&p->c, &e));
	status_all(&p->c, NULL, 0); /* it has been read */
}

/* A process that has the terminal, or waits for it, and does no more. */
struct other {
	pid_t pid;
	struct client seen;
};

static struct other other_asks(uint64_t task, ttylock_State state, const char *saved)
{
	struct other o;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	o.pid = fork();
	assert_true(o.pid >= 0);
	if (o.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		struct client c = asks(task, state);
		if (saved)
			saves(&c, saved);
		if (write(p[1], &c, sizeof(c)) != sizeof(c))
			_exit(1);
		for (;;)
			pause();
	}
	close(p[1]);
	struct pollfd ready = {.fd = p[0], .events = POLLIN};
	assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
	assert_int_equal(read(p[0], &o.seen, sizeof(o.seen)), sizeof(o.seen));
	close(p[0]);
	return o;
}

static void other_ends(const struct other *o)
{
	kill(o->pid, SIGKILL);
	status_within(o->pid);
}

/* --- tests ------------------------------------------------------------------ */

static void holder_keeps_what_it_has(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);

	(void)state;
	restart();
	struct client late = asks(2, ttylock_State_STATE_QUEUED);
	assert_int_equal(late.last.holder.id, holder.last.id);
	assert_int_equal(late.last.holder.pid, getpid());
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	assert_false(holder.last.dirty);
	say_release(&holder.c, 7);
	is_granted(&late);
	assert_false(late.last.dirty);
	assert_true(late.last.id > holder.last.id);
	leaves(&late);
	leaves(&holder);
}

static void waiters_keep_their_order(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);
	struct client waiter[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		waiter[i] = asks(2 + (uint64_t)i, ttylock_State_STATE_QUEUED);
	/* The third is to be the first. */
	ttylock_Envelope e = envelope(ttylock_Envelope_serve_first_tag);
	e.body.serve_first.id = waiter[2].last.id;
	struct client steering = client(50);
	assert_true(conn_send(&steering.c, &e));
	expect_status(&steering.c, ttylock_State_STATE_QUEUED);
	leaves(&steering);

	restart();
	static const int back[] = {4, 0, 2, 3, 1}, order[] = {2, 0, 1, 3, 4};
	static const int place[] = {2, 3, 1, 4, 5};
	for (int i = 0; i < 5; i++) {
		reclaims(&waiter[back[i]], ttylock_State_STATE_QUEUED);
		assert_int_equal(waiter[back[i]].last.position, place[back[i]]);
		assert_int_equal(waiter[back[i]].last.waiters, 4); /* itself not counted */
	}
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	say_release(&holder.c, 7);
	for (int i = 0; i < 5; i++) {
		is_granted(&waiter[order[i]]);
		say_release(&waiter[order[i]].c, 7);
	}
	for (int i = 0; i < 5; i++)
		leaves(&waiter[i]);
	leaves(&holder);
}

/* Nobody is told before he is back, and nobody overtakes him. */
static void grant_waits_for_who_is_away(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);
	struct client first = asks(2, ttylock_State_STATE_QUEUED);
	struct client second = asks(3, ttylock_State_STATE_QUEUED);

	(void)state;
	restart();
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	reclaims(&second, ttylock_State_STATE_QUEUED);
	say_release(&holder.c, 7);
	assert_int_equal(status_all(&holder.c, NULL, 0), 2);
	/* Once more, with a grant that nobody was told of. */
	restart();
	reclaims(&second, ttylock_State_STATE_QUEUED);
	reclaims(&first, ttylock_State_STATE_GRANTED);
	say_release(&first.c, 7);
	is_granted(&second);
	leaves(&first);
	leaves(&second);
	leaves(&holder);
}

static void who_stays_away_loses_his_place(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);
	struct client away = asks(2, ttylock_State_STATE_QUEUED);
	struct client untold = asks(3, ttylock_State_STATE_QUEUED);
	struct client here = asks(4, ttylock_State_STATE_QUEUED);

	(void)state;
	(void)untold;
	kill_daemon();
	d.grace = "1";
	daemon_start(&d, false);
	reclaims(&here, ttylock_State_STATE_QUEUED);
	assert_int_equal(here.last.position, 3);
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	say_release(&holder.c, 7);
	/* The first two are given up, the one of them with a grant that it never heard
	 * of, so that nothing is the matter with the terminal. */
	is_granted(&here);
	assert_false(here.last.dirty);
	ttylock_Envelope e = reclaim_of(&away, 9);
	assert_true(conn_send(&holder.c, &e));
	ttylock_LockStatus s = expect_status(&holder.c, ttylock_State_STATE_REFUSED);
	assert_int_equal(s.code, ttylock_Code_ERROR_NOT_FOUND);
	assert_int_equal(s.request, 9);
	leaves(&here);
	leaves(&holder);
	leaves(&away);
	leaves(&untold);
}

/* Time does not end a hold. */
static void holder_is_waited_for(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);

	(void)state;
	kill_daemon();
	d.grace = "0";
	daemon_start(&d, false);
	struct client waiter = asks(2, ttylock_State_STATE_QUEUED);
	/* Long after the grace: twice its timer has gone by. */
	for (int i = 0; i < 200; i++)
		assert_int_equal(status_all(&waiter.c, NULL, 0), 2);
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	leaves(&holder);
	is_granted(&waiter);
	leaves(&waiter);
}

static void dead_holder_is_not_waited_for(void **state)
{
	struct other holder = other_asks(1, ttylock_State_STATE_GRANTED, "sane");
	struct client waiter = asks(2, ttylock_State_STATE_QUEUED);

	(void)state;
	kill_daemon();
	other_ends(&holder);
	daemon_start(&d, false);
	reclaims(&waiter, ttylock_State_STATE_GRANTED);
	assert_true(waiter.last.dirty);
	assert_int_equal(waiter.last.saved.size, 4);
	assert_memory_equal(waiter.last.saved.bytes, "sane", 4);
	/* It holds it dirty: what was left goes on being known. */
	restart();
	reclaims(&waiter, ttylock_State_STATE_GRANTED);
	leaves(&waiter);
}

static void holder_that_dies_later(void **state)
{
	struct other holder = other_asks(1, ttylock_State_STATE_GRANTED, "sane");
	struct client waiter = asks(2, ttylock_State_STATE_QUEUED);

	(void)state;
	restart();
	reclaims(&waiter, ttylock_State_STATE_QUEUED);
	other_ends(&holder);
	is_granted(&waiter);
	assert_true(waiter.last.dirty);
	assert_memory_equal(waiter.last.saved.bytes, "sane", 4);
	leaves(&waiter);
}

/* With nobody there at all, over two restarts. */
static void dirty_terminal_is_remembered(void **state)
{
	struct other holder = other_asks(1, ttylock_State_STATE_GRANTED, "sane");

	(void)state;
	other_ends(&holder);
	struct client looks = client(9);
	while (status_all(&looks.c, NULL, 0) > 0)
		;
	leaves(&looks);
	restart();
	restart();
	struct client next = asks(2, ttylock_State_STATE_GRANTED);
	assert_true(next.last.dirty);
	assert_memory_equal(next.last.saved.bytes, "sane", 4);
	say_release(&next.c, 1);
	assert_int_equal(status_all(&next.c, NULL, 0), 0); /* it has been read */
	restart();
	leaves(&next);
	next = asks(3, ttylock_State_STATE_GRANTED);
	assert_false(next.last.dirty);
	leaves(&next);
}

static void token_is_of_no_use_to_others(void **state)
{
	struct other holder = other_asks(1, ttylock_State_STATE_GRANTED, NULL);
	struct client thief = client(2);
	ttylock_Envelope e = reclaim_of(&holder.seen, 3);

	(void)state;
	restart();
	leaves(&thief);
	thief = client(2);
	assert_true(conn_send(&thief.c, &e));
	ttylock_LockStatus s = expect_status(&thief.c, ttylock_State_STATE_REFUSED);
	assert_int_equal(s.code, ttylock_Code_ERROR_DENIED);
	memset(e.body.lock_request.reclaim.bytes, 7, 16);
	assert_true(conn_send(&thief.c, &e));
	s = expect_status(&thief.c, ttylock_State_STATE_REFUSED);
	assert_int_equal(s.code, ttylock_Code_ERROR_NOT_FOUND);
	assert_int_equal(status_all(&thief.c, NULL, 0), 1);
	other_ends(&holder);
	leaves(&thief);
}

/* The answer was lost with the daemon: the client has no token. */
static void asking_again_is_reclaiming(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);
	struct client waiter = asks(2, ttylock_State_STATE_QUEUED);

	(void)state;
	restart();
	leaves(&holder);
	leaves(&waiter);
	struct client again = asks(2, ttylock_State_STATE_QUEUED);
	assert_int_equal(again.last.id, waiter.last.id);
	struct client other = asks(1, ttylock_State_STATE_GRANTED);
	assert_int_equal(other.last.id, holder.last.id);
	/* Once it is back, it is a double lock as ever. */
	say_lock(&other.c, 5, 1);
	assert_int_equal(
	    expect_status(&other.c, ttylock_State_STATE_REFUSED).code, ttylock_Code_ERROR_DEADLOCK);
	leaves(&other);
	is_granted(&again);
	leaves(&again);
}

static void nested_grants_stay_nested(void **state)
{
	struct client outer = asks(1, ttylock_State_STATE_GRANTED);
	struct client inner = client(2), under = client(3), below = client(4);
	ttylock_Envelope e = lock_request(1, 2);

	(void)state;
	e.body.lock_request.under.size = 16;
	memcpy(e.body.lock_request.under.bytes, outer.last.token.bytes, 16);
	assert_true(conn_send(&inner.c, &e));
	inner.last = expect_status(&inner.c, ttylock_State_STATE_GRANTED);
	say_lock(&below.c, 1, 4);
	below.last = expect_status(&below.c, ttylock_State_STATE_QUEUED);
	e.body.lock_request.task.id = 3;
	assert_true(conn_send(&under.c, &e));
	under.last = expect_status(&under.c, ttylock_State_STATE_QUEUED);
	assert_int_equal(under.last.position, 1);

	restart();
	reclaims(&below, ttylock_State_STATE_QUEUED);
	assert_int_equal(below.last.position, 2);
	reclaims(&under, ttylock_State_STATE_QUEUED);
	reclaims(&inner, ttylock_State_STATE_GRANTED);
	reclaims(&outer, ttylock_State_STATE_GRANTED);
	say_release(&inner.c, 7);
	is_granted(&under);
	say_release(&under.c, 7);
	say_release(&outer.c, 7);
	is_granted(&below);
	leaves(&below);
	leaves(&under);
	leaves(&inner);
	leaves(&outer);
}

static void hello_of_tree(struct conn *c, uint64_t tree)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_hello_tag);

	conn_open(c, d.socket);
	e.body.hello.version = 1;
	e.body.hello.tree = tree;
	assert_true(conn_send(c, &e));
	expect(c, ttylock_Envelope_welcome_tag, &e);
	assert_true(say_open(c, 0, tty));
}

/* One that comes back as part of another tree is none of the first one's any more. */
static void tree_is_the_callers(void **state)
{
	struct client holder = {.task = 1}, idler = {.task = 2};

	(void)state;
	hello_of_tree(&holder.c, 5);
	say_lock(&holder.c, 1, 1);
	holder.last = expect_status(&holder.c, ttylock_State_STATE_GRANTED);
	restart();
	leaves(&holder);
	hello_of_tree(&idler.c, 5);
	ttylock_Envelope e = envelope(ttylock_Envelope_wait_idle_tag);
	e.body.wait_idle.query = 8;
	assert_true(conn_send(&idler.c, &e));
	status_all(&idler.c, NULL, 0); /* and nothing is answered before */
	hello_of_tree(&holder.c, 6);
	e = reclaim_of(&holder, 7);
	assert_true(conn_send(&holder.c, &e));
	expect_status(&holder.c, ttylock_State_STATE_GRANTED);
	expect(&idler.c, ttylock_Envelope_status_report_tag, &e);
	assert_int_equal(e.body.status_report.query, 8);
	assert_true(e.body.status_report.last);
	leaves(&holder);
	leaves(&idler);
}

/* An orderly end is no other than a death. */
static void sigterm_loses_nobody(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);
	struct client waiter = asks(2, ttylock_State_STATE_QUEUED);

	(void)state;
	daemon_stop(&d);
	daemon_start(&d, false);
	reclaims(&waiter, ttylock_State_STATE_QUEUED);
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	leaves(&holder);
	is_granted(&waiter);
	leaves(&waiter);
}

/* A release behind the reclaim, in one write. */
static void ended_meanwhile(void **state)
{
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);
	struct client waiter = asks(2, ttylock_State_STATE_QUEUED);

	(void)state;
	restart();
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	reclaims(&waiter, ttylock_State_STATE_QUEUED);
	say_release(&holder.c, 7);
	is_granted(&waiter);
	assert_false(waiter.last.dirty);
	leaves(&waiter);
	leaves(&holder);
}

/* To a version that writes more of everyone, and back. */
static void other_versions_know_them_too(void **state)
{
	struct other dead = other_asks(9, ttylock_State_STATE_GRANTED, "sane");

	(void)state;
	other_ends(&dead);
	struct client waiter, holder = asks(1, ttylock_State_STATE_GRANTED);
	assert_true(holder.last.dirty);
	saves(&holder, "mine");
	waiter = asks(2, ttylock_State_STATE_QUEUED);
	for (int i = 0; i < 4; i++) {
		kill_daemon();
		d.program = i % 2 ? NULL : BUILD_DIR "/tests/ttylockd_later";
		daemon_start(&d, false);
		reclaims(&waiter, ttylock_State_STATE_QUEUED);
		if (i % 2)
			reclaims(&holder, ttylock_State_STATE_GRANTED);
	}
	leaves(&holder);
	is_granted(&waiter);
	assert_true(waiter.last.dirty);
	assert_memory_equal(waiter.last.saved.bytes, "mine", 4);
	leaves(&waiter);
}

/* Garbage beside the socket keeps nobody from being served. */
static void unreadable_ledger_is_replaced(void **state)
{
	char path[96];

	(void)state;
	daemon_stop(&d);
	snprintf(path, sizeof(path), "%s.ledger", d.socket);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(write(fd, "garbage\n", 8), 8);
	close(fd);
	daemon_start(&d, false);
	struct client holder = asks(1, ttylock_State_STATE_GRANTED);
	restart();
	reclaims(&holder, ttylock_State_STATE_GRANTED);
	leaves(&holder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(holder_keeps_what_it_has),
	    TEST(waiters_keep_their_order),
	    TEST(grant_waits_for_who_is_away),
	    TEST(who_stays_away_loses_his_place),
	    TEST(holder_is_waited_for),
	    TEST(dead_holder_is_not_waited_for),
	    TEST(holder_that_dies_later),
	    TEST(dirty_terminal_is_remembered),
	    TEST(token_is_of_no_use_to_others),
	    TEST(asking_again_is_reclaiming),
	    TEST(nested_grants_stay_nested),
	    TEST(sigterm_loses_nobody),
	    TEST(tree_is_the_callers),
	    TEST(ended_meanwhile),
	    TEST(other_versions_know_them_too),
	    TEST(unreadable_ledger_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
