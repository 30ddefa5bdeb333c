/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* The daemon against clients that do wrong: each is dealt with alone, and the
 * others' locks are untouched. */
#include "tests/unit/holder.h"

#include <sys/resource.h>

static void malformed_frame_closes(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t size;
	} cases[] = {
	    {{0}, 1},				 /* empty */
	    {{0xff, 0xff, 0xff, 0xff, 0x0f}, 5}, /* 2^32 - 1 bytes to come */
	    {{0x81, 0x08}, 2},			 /* one more than may be */
	    {{3, 0xfa, 0x01, 0x00}, 4},		 /* a kind that there is not */
	    {{2, 0x0a, 0x7f}, 3},		 /* a field longer than the frame */
	    {{1, 0xff}, 2},
	    {"GET / H", 7},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct conn c;

		greeted(&c);
		conn_send_bytes(&c, cases[i].bytes, cases[i].size, NULL, 0);
		if (cases[i].bytes[0] == 'G') /* a frame of 0x47 bytes: not all here yet */
			shutdown(c.fd, SHUT_WR);
		expect_closed(&c);
	}
}

static void wrong_state_closes(void **state)
{
	struct conn c;
	ttylock_Envelope hello = envelope(ttylock_Envelope_hello_tag);

	(void)state;
	hello.body.hello.version = 1;
	for (pb_size_t kind = ttylock_Envelope_hello_tag; kind <= ttylock_Envelope_error_tag;
	     kind++) {
		ttylock_Envelope e = envelope(kind);
		bool mine = kind != ttylock_Envelope_welcome_tag &&
			    kind != ttylock_Envelope_lock_status_tag &&
			    kind != ttylock_Envelope_status_report_tag &&
			    kind != ttylock_Envelope_event_tag &&
			    kind != ttylock_Envelope_error_tag;

		if (kind != ttylock_Envelope_hello_tag) {
			conn_open(&c, d.socket); /* before Hello: nothing else */
			conn_send(&c, &e);
			expect_closed(&c);
		}
		if (!mine) {
			greeted(&c); /* and never what only the daemon says */
			conn_send(&c, &e);
			expect_closed(&c);
		}
	}
	greeted(&c);
	conn_send(&c, &hello);
	expect_closed(&c);
}

static void other_version_is_refused(void **state)
{
	struct conn c;
	ttylock_Envelope e = envelope(ttylock_Envelope_hello_tag);

	(void)state;
	for (uint32_t version = 0; version <= 3; version++) {
		if (version == 1)
			continue;
		e.body.hello.version = version;
		conn_open(&c, d.socket);
		conn_send(&c, &e);
		expect_error(&c, ttylock_Code_ERROR_VERSION);
		expect_closed(&c);
	}
}

static void cut_and_closed_changes_nothing(void **state)
{
	ttylock_Envelope e = lock_request(1, 5);
	uint8_t out[FRAME_MAX];
	ssize_t n = frame_encode(&e, out, sizeof(out));

	(void)state;
	for (ssize_t cut = 0; cut < n; cut++) {
		struct conn c;

		greeted(&c);
		say_open(&c, 0, tty);
		conn_send_bytes(&c, out, (size_t)cut, NULL, 0);
		shutdown(c.fd, SHUT_WR);
		expect_closed(&c);
		assert_int_equal(status_all(&holder, NULL, 0), 1);
	}
}

static void bad_fields_are_refused(void **state)
{
	struct conn c;
	ttylock_Envelope e;

	(void)state;
	conn_ready(&c, d.socket, tty);
	e = lock_request(0, 7);
	conn_send(&c, &e);
	expect_error(&c, ttylock_Code_ERROR_INVALID);
	e = lock_request(1, 7);
	e.body.lock_request.reason = (ttylock_Reason)9;
	conn_send(&c, &e);
	assert_int_equal(
	    expect_status(&c, ttylock_State_STATE_REFUSED).code, ttylock_Code_ERROR_INVALID);
	e = lock_request(1, 7);
	e.body.lock_request.terminal = 8;
	conn_send(&c, &e);
	assert_int_equal(
	    expect_status(&c, ttylock_State_STATE_REFUSED).code, ttylock_Code_ERROR_INVALID);
	e = lock_request(1, 7);
	strcpy(e.body.lock_request.text, "\x1b[2J\xff");
	conn_send(&c, &e);
	expect_status(&c, ttylock_State_STATE_QUEUED);
	conn_send(&c, &e); /* the same number again: the first is untouched */
	expect_error(&c, ttylock_Code_ERROR_INVALID);
	ttylock_Entry entries[2];
	assert_int_equal(status_all(&c, entries, 2), 2);
	assert_string_equal(entries[1].text, "?[2J?");
	say_number(&c, ttylock_Envelope_lock_cancel_tag, 12345);
	expect_error(&c, ttylock_Code_ERROR_NOT_FOUND);
	say_number(&c, ttylock_Envelope_force_release_tag, 12345);
	expect_error(&c, ttylock_Code_ERROR_NOT_FOUND);
	say_number(&c, ttylock_Envelope_force_release_tag, entries[1].id); /* it waits */
	expect_error(&c, ttylock_Code_ERROR_INVALID);
	say_number(&c, ttylock_Envelope_lock_cancel_tag, entries[0].id); /* it holds */
	expect_error(&c, ttylock_Code_ERROR_INVALID);
	conn_close(&c);
	settle(&holder);
}

static long memory_kib(void)
{
	char path[64], line[128];
	long kib = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)d.pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (kib < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %ld", &kib);
	fclose(f);
	return kib;
}

/* A client that asks and never reads is no trouble to anybody. */
static void unread_client_blocks_nobody(void **state)
{
	struct conn deaf, other, watcher;
	ttylock_Envelope watch = envelope(ttylock_Envelope_watch_tag);
	ttylock_Envelope query = envelope(ttylock_Envelope_status_query_tag);
	ttylock_Envelope e;

	(void)state;
	greeted(&watcher);
	conn_send(&watcher, &watch);
	settle(&watcher);
	conn_ready(&deaf, d.socket, tty);
	for (uint64_t i = 1; i <= 500; i++)
		say_lock(&deaf, i, 100 + i);
	for (int i = 0; i < 500; i++) {
		expect(&deaf, ttylock_Envelope_lock_status_tag, &e);
	}
	long before = memory_kib();
	fcntl(deaf.fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 3000; i++) {
		uint8_t out[FRAME_MAX];
		ssize_t n = frame_encode(&query, out, sizeof(out));

		if (send(deaf.fd, out, (size_t)n, MSG_NOSIGNAL) < 0)
			break; /* it is not read from any more: as it should be */
	}
	int m2, tty2;
	assert_int_equal(openpty(&m2, &tty2, NULL, NULL, NULL), 0);
	conn_ready(&other, d.socket, tty2);
	for (uint64_t i = 1; i <= 3000; i++) {
		say_lock(&other, i, 1);
		expect_status(&other, ttylock_State_STATE_GRANTED);
		say_release(&other, i);
	}
	/* Not read from while it does not read, it cost us one answer's room. */
	assert_true(memory_kib() - before < 8 * 1024);
	conn_close(&deaf);
	for (int i = 0; i < 1000 && status_all(&holder, NULL, 0) > 1; i++)
		continue;
	/* The watcher, which did not read either, learns that it missed some. */
	do {
		expect(&watcher, ttylock_Envelope_event_tag, &e);
	} while (e.body.event.kind != ttylock_EventKind_EVENT_LOST);
	say_lock(&other, 9999, 1);
	expect_status(&other, ttylock_State_STATE_GRANTED);
	do {
		expect(&watcher, ttylock_Envelope_event_tag, &e);
	} while (e.body.event.kind != ttylock_EventKind_EVENT_GRANTED);
	conn_close(&watcher);
	conn_close(&other);
	for (int i = 0; i < 1000 && status_all(&holder, NULL, 0) > 1; i++)
		continue;
	close(tty2);
	close(m2);
}

/* Random bytes on many connections. */
static void garbage_touches_nobody(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 300; i++) {
		struct conn c;
		uint8_t bytes[600];
		size_t size = 1 + (size_t)rand() % sizeof(bytes);

		conn_open(&c, d.socket);
		if (i % 2)
			say_hello(&c);
		for (size_t k = 0; k < size; k++)
			bytes[k] = (uint8_t)rand();
		bytes[0] &= 0x7f;
		conn_send_bytes(&c, bytes, size, &tty, rand() % 4 == 0);
		shutdown(c.fd, SHUT_WR);
		while (c.fd >= 0 && recv(c.fd, bytes, sizeof(bytes), 0) > 0)
			continue;
		conn_close(&c);
	}
	for (int i = 0; i < 1000 && status_all(&holder, NULL, 0) > 1; i++)
		continue;
}

/* --- another user ------------------------------------------------------------ */

/* Runs body as another user in a child; its failures are ours. */
static void as_user(uid_t uid, void (*body)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(99);
		body();
		_exit(0);
	}
	assert_int_equal(status_within(pid), 0);
}

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "line %d: %s\n", __LINE__, #x);                            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static uint64_t holders_id;

static void stranger(void)
{
	struct conn c;
	ttylock_Entry e[2];
	ttylock_Envelope r;

	conn_ready(&c, d.socket, tty); /* it was given a descriptor: it may ask */
	say_lock(&c, 1, 1);
	CHECK(conn_recv(&c, &r));
	CHECK(r.body.lock_status.state == ttylock_State_STATE_QUEUED);
	CHECK(r.body.lock_status.holder.hidden && r.body.lock_status.holder.pid == 0);
	CHECK(status_all(&c, e, 2) == 2);
	CHECK(e[0].hidden && e[0].terminal[0] && !e[0].id && !e[0].text[0] && !e[0].comm[0]);
	CHECK(!e[1].hidden && e[1].uid == getuid());
	say_number(&c, ttylock_Envelope_force_release_tag, holders_id);
	CHECK(conn_recv(&c, &r) && r.which_body == ttylock_Envelope_error_tag);
	CHECK(r.body.error.code == ttylock_Code_ERROR_DENIED);
	say_number(&c, ttylock_Envelope_lock_cancel_tag, holders_id);
	CHECK(conn_recv(&c, &r) && r.body.error.code == ttylock_Code_ERROR_DENIED);
	conn_close(&c);
}

static void owner_of_the_terminal(void)
{
	struct conn c;
	ttylock_Entry e[2];
	ttylock_Envelope r;

	conn_ready(&c, d.socket, tty);
	CHECK(status_all(&c, e, 2) == 1);
	CHECK(!e[0].hidden && e[0].id == holders_id && e[0].uid == 0);
	say_number(&c, ttylock_Envelope_force_release_tag, holders_id);
	CHECK(conn_recv(&c, &r) && r.which_body == ttylock_Envelope_lock_status_tag);
	CHECK(r.body.lock_status.request == 0 && r.body.lock_status.id == holders_id);
	CHECK(r.body.lock_status.state == ttylock_State_STATE_RELEASED);
	conn_close(&c);
}

static void users_are_kept_apart(void **state)
{
	ttylock_Entry e[2];

	(void)state;
	if (getuid() != 0)
		skip();
	/* As on the system's socket, everybody may connect. */
	assert_int_equal(chmod(d.dir, 0755), 0);
	assert_int_equal(chmod(d.socket, 0666), 0);
	assert_int_equal(fchown(tty, 12345, (gid_t)-1), 0);
	assert_int_equal(status_all(&holder, e, 2), 1);
	holders_id = e[0].id;
	as_user(12346, stranger);
	for (int i = 0; i < 1000 && status_all(&holder, NULL, 0) > 1; i++)
		continue;
	as_user(12345, owner_of_the_terminal);
	ttylock_LockStatus s = expect_status(&holder, ttylock_State_STATE_RELEASED);
	assert_int_equal(s.request, 1);
	assert_int_equal(s.id, holders_id);
	/* Ousted, it has put nothing in order. */
	say_lock(&holder, 1, 1);
	assert_true(expect_status(&holder, ttylock_State_STATE_GRANTED).dirty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(malformed_frame_closes),
	    TEST(wrong_state_closes),
	    TEST(other_version_is_refused),
	    TEST(cut_and_closed_changes_nothing),
	    TEST(bad_fields_are_refused),
	    TEST(unread_client_blocks_nobody),
	    TEST(garbage_touches_nobody),
	    TEST(users_are_kept_apart),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
