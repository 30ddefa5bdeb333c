/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* The daemon from outside: grants on top of grants, and circles of terminals. */
#include "tests/unit/two_terminals.h"

/* --- helpers --------------------------------------------------------------- */

struct client {
	struct conn c;
	uint64_t task;
};

/* Both terminals are open, by their numbers. */
static struct client client(uint64_t task)
{
	struct client p = {.task = task};

	conn_ready(&p.c, d.socket, tty[0]);
	assert_true(say_open(&p.c, 1, tty[1]));
	return p;
}

/* Request 1 + terminal. */
static ttylock_LockStatus lock(
    struct client *p, uint32_t terminal, const ttylock_LockStatus *under, ttylock_State state)
{
	ttylock_Envelope e = lock_request(1 + terminal, p->task);

	e.body.lock_request.terminal = terminal;
	if (under) {
		e.body.lock_request.under.size = under->token.size;
		memcpy(e.body.lock_request.under.bytes, under->token.bytes, under->token.size);
	}
	assert_true(conn_send(&p->c, &e));
	ttylock_LockStatus s = expect_status(&p->c, state);
	assert_int_equal(s.request, 1 + terminal);
	return s;
}

/* Nothing but the answer to a question is on its way. */
static void nothing_comes(struct client *p)
{
	status_all(&p->c, NULL, 0);
}

static ttylock_Event expect_event(struct client *p, ttylock_EventKind kind, uint64_t id)
{
	ttylock_Envelope e;

	expect(&p->c, ttylock_Envelope_event_tag, &e);
	assert_int_equal(e.body.event.kind, kind);
	assert_int_equal(e.body.event.entry.id, id);
	return e.body.event;
}

/* --- tests ------------------------------------------------------------------ */

static void token_lets_in_on_top(void **state)
{
	struct client p[4], watcher = client(9);
	ttylock_Entry e[4];

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		p[i] = client(i);
	say_number(&watcher.c, ttylock_Envelope_watch_tag, 0);
	nothing_comes(&watcher);
	ttylock_LockStatus a = lock(&p[0], 0, NULL, ttylock_State_STATE_GRANTED);
	ttylock_LockStatus w = lock(&p[1], 0, NULL, ttylock_State_STATE_QUEUED);
	ttylock_LockStatus b = lock(&p[2], 0, &a, ttylock_State_STATE_GRANTED);
	assert_int_equal(b.waiters, 1);
	assert_memory_not_equal(a.token.bytes, b.token.bytes, 16);
	ttylock_LockStatus n = lock(&p[3], 0, &a, ttylock_State_STATE_QUEUED);
	assert_int_equal(n.position, 1);
	assert_int_equal(n.holder.id, b.id);

	const uint64_t order[] = {b.id, a.id, n.id, w.id};
	assert_int_equal(status_all(&p[0].c, e, 4), 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(e[i].id, order[i]);
		assert_int_equal(e[i].position, i < 2 ? 0 : i - 1);
		assert_int_equal(e[i].under, order[i] == b.id || order[i] == n.id ? a.id : 0);
	}
	say_release(&p[2].c, 1);
	assert_int_equal(expect_status(&p[3].c, ttylock_State_STATE_GRANTED).id, n.id);
	say_release(&p[3].c, 1);
	nothing_comes(&p[3]);
	nothing_comes(&p[1]);
	nothing_comes(&p[0]);
	say_release(&p[0].c, 1);
	assert_int_equal(expect_status(&p[1].c, ttylock_State_STATE_GRANTED).id, w.id);

	expect_event(&watcher, ttylock_EventKind_EVENT_GRANTED, a.id);
	expect_event(&watcher, ttylock_EventKind_EVENT_QUEUED, w.id);
	ttylock_Event event = expect_event(&watcher, ttylock_EventKind_EVENT_GRANTED, b.id);
	assert_int_equal(event.entry.under, a.id);
	event = expect_event(&watcher, ttylock_EventKind_EVENT_QUEUED, n.id);
	assert_int_equal(event.entry.position, 1);
	expect_event(&watcher, ttylock_EventKind_EVENT_RELEASED, b.id);
	expect_event(&watcher, ttylock_EventKind_EVENT_GRANTED, n.id);
	expect_event(&watcher, ttylock_EventKind_EVENT_RELEASED, n.id);
	expect_event(&watcher, ttylock_EventKind_EVENT_RELEASED, a.id);
	expect_event(&watcher, ttylock_EventKind_EVENT_GRANTED, w.id);
	for (int i = 0; i < 4; i++)
		conn_close(&p[i].c);
	conn_close(&watcher.c);
}

static void wrong_tokens_are_ignored(void **state)
{
	struct client p = client(1), q = client(2);
	ttylock_LockStatus old = lock(&p, 0, NULL, ttylock_State_STATE_GRANTED);

	(void)state;
	say_release(&p.c, 1);
	ttylock_LockStatus good = lock(&p, 0, NULL, ttylock_State_STATE_GRANTED);
	ttylock_LockStatus other = lock(&p, 1, NULL, ttylock_State_STATE_GRANTED);
	ttylock_LockStatus flipped = good, cut = good, none = good;
	flipped.token.bytes[15] ^= 1;
	cut.token.size = 15;
	memset(none.token.bytes, 0, 16);
	const ttylock_LockStatus *bad[] = {&old, &other, &flipped, &cut, &none};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ttylock_LockStatus s = lock(&q, 0, bad[i], ttylock_State_STATE_QUEUED);

		assert_int_equal(s.holder.id, good.id);
		say_release(&q.c, 1);
	}
	lock(&q, 0, &good, ttylock_State_STATE_GRANTED);
	/* With nobody there they mean nothing either. */
	say_release(&p.c, 1);
	say_release(&p.c, 2);
	nothing_comes(&p);
	say_release(&q.c, 1);
	for (uint32_t i = 0; i < 2; i++) {
		ttylock_Entry e[2];

		lock(&q, i, i ? &other : &good, ttylock_State_STATE_GRANTED);
		assert_int_equal(status_all(&q.c, e, 2), i + 1);
		assert_int_equal(e[i].under, 0);
	}
	conn_close(&p.c);
	conn_close(&q.c);
}

static void save(struct client *p, const char *text)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_terminal_state_tag);

	e.body.terminal_state.request = 1;
	e.body.terminal_state.saved.size = (pb_size_t)strlen(text);
	memcpy(e.body.terminal_state.saved.bytes, text, strlen(text));
	assert_true(conn_send(&p->c, &e));
	nothing_comes(p); /* it has arrived */
}

static void death_at_each_depth(void **state)
{
	struct client p[4], watcher = client(9);
	ttylock_LockStatus s[4];

	(void)state;
	say_number(&watcher.c, ttylock_Envelope_watch_tag, 0);
	nothing_comes(&watcher);
	for (uint64_t i = 0; i < 4; i++)
		p[i] = client(i);
	for (int i = 0; i < 3; i++) {
		s[i] = lock(&p[i], 0, i ? &s[i - 1] : NULL, ttylock_State_STATE_GRANTED);
		expect_event(&watcher, ttylock_EventKind_EVENT_GRANTED, s[i].id);
		save(&p[i], (const char *[]){"zero", "one", "two"}[i]);
	}
	s[3] = lock(&p[3], 0, &s[1], ttylock_State_STATE_QUEUED);
	expect_event(&watcher, ttylock_EventKind_EVENT_QUEUED, s[3].id);

	conn_close(&p[0].c); /* the outermost: the others go on */
	ttylock_Event event = expect_event(&watcher, ttylock_EventKind_EVENT_DIED, s[0].id);
	assert_int_equal(event.entry.under, 0);
	nothing_comes(&p[1]);
	nothing_comes(&p[2]);
	conn_close(&p[2].c); /* the topmost: the next mends what it left */
	event = expect_event(&watcher, ttylock_EventKind_EVENT_DIED, s[2].id);
	assert_int_equal(event.entry.under, s[1].id);
	ttylock_LockStatus g = expect_status(&p[3].c, ttylock_State_STATE_GRANTED);
	assert_true(g.dirty);
	assert_int_equal(g.saved.size, 3);
	assert_memory_equal(g.saved.bytes, "two", 3);
	say_release(&p[3].c, 1);
	say_release(&p[1].c, 1);
	nothing_comes(&p[3]);
	nothing_comes(&p[1]);
	g = lock(&p[3], 0, NULL, ttylock_State_STATE_GRANTED);
	assert_true(g.dirty);
	assert_int_equal(g.saved.size, 4);
	assert_memory_equal(g.saved.bytes, "zero", 4);
	conn_close(&p[1].c);
	conn_close(&p[3].c);
	conn_close(&watcher.c);
}

static void force_release_at_each_depth(void **state)
{
	struct client p[3], other = client(9);
	ttylock_LockStatus s[3];

	(void)state;
	for (uint64_t i = 0; i < 3; i++)
		p[i] = client(i);
	for (int i = 0; i < 3; i++)
		s[i] = lock(&p[i], 0, i ? &s[i - 1] : NULL, ttylock_State_STATE_GRANTED);
	for (int i = 0; i < 3; i++) {
		int which = (i + 1) % 3;

		say_number(&other.c, ttylock_Envelope_force_release_tag, s[which].id);
		assert_int_equal(
		    expect_status(&other.c, ttylock_State_STATE_RELEASED).id, s[which].id);
		assert_int_equal(
		    expect_status(&p[which].c, ttylock_State_STATE_RELEASED).request, 1);
		assert_int_equal(status_all(&other.c, NULL, 0), 2 - i);
	}
	for (int i = 0; i < 3; i++)
		conn_close(&p[i].c);
	conn_close(&other.c);
}

static void circle_is_refused(void **state)
{
	struct client p = client(1), q = client(2);

	(void)state;
	lock(&p, 0, NULL, ttylock_State_STATE_GRANTED);
	ttylock_LockStatus b = lock(&q, 1, NULL, ttylock_State_STATE_GRANTED);
	ttylock_LockStatus w = lock(&q, 0, NULL, ttylock_State_STATE_QUEUED);
	ttylock_LockStatus refused = lock(&p, 1, NULL, ttylock_State_STATE_REFUSED);
	assert_int_equal(refused.code, ttylock_Code_ERROR_DEADLOCK);
	assert_int_equal(refused.holder.id, b.id);
	assert_int_equal(status_all(&p.c, NULL, 0), 3);
	/* Nonblocking it asks the other question. */
	ttylock_Envelope e = lock_request(8, 1);
	e.body.lock_request.terminal = 1;
	e.body.lock_request.nonblock = true;
	assert_true(conn_send(&p.c, &e));
	refused = expect_status(&p.c, ttylock_State_STATE_REFUSED);
	assert_int_equal(refused.code, ttylock_Code_ERROR_BUSY);
	/* Another task of the very same connection is not in the circle. */
	e = lock_request(9, 3);
	e.body.lock_request.terminal = 1;
	assert_true(conn_send(&p.c, &e));
	assert_int_equal(expect_status(&p.c, ttylock_State_STATE_QUEUED).request, 9);
	say_release(&p.c, 1);
	assert_int_equal(expect_status(&q.c, ttylock_State_STATE_GRANTED).id, w.id);
	conn_close(&p.c);
	conn_close(&q.c);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(token_lets_in_on_top),
	    TEST(wrong_tokens_are_ignored),
	    TEST(death_at_each_depth),
	    TEST(force_release_at_each_depth),
	    TEST(circle_is_refused),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
