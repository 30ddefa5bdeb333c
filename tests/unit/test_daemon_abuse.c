/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* The daemon against clients that do wrong: each is dealt with alone, and the
 * others' locks are untouched. */
#include "tests/unit/wire.h"

#include <dirent.h>
#include <sys/resource.h>

static struct daemon d;
static int master, tty;
static struct conn holder; /* holds terminal 0 through every test */

static int setup(void **state)
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
static int teardown(void **state)
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

static void greeted(struct conn *c)
{
	conn_open(c, d.socket);
	say_hello(c);
}

/* Waits until the daemon has done all that was sent before. */
static void settle(struct conn *c)
{
	status_all(c, NULL, 0);
}

/* A terminal that is gone when its frame is whole proves nothing: another one may
 * have its number by then. */
static void proof_of_a_dead_terminal_is_none(void **state)
{
	ttylock_Envelope e = envelope(ttylock_Envelope_terminal_open_tag);
	uint8_t frame[FRAME_MAX];
	int own_master, own_tty, next_master, next_tty;
	struct conn c, other;

	(void)state;
	greeted(&c);
	assert_int_equal(openpty(&own_master, &own_tty, NULL, NULL, NULL), 0);
	e.body.terminal_open.terminal = 5;
	ssize_t n = frame_encode(&e, frame, sizeof(frame));
	assert_true(n > 1);
	assert_true(conn_send_bytes(&c, frame, 1, &own_tty, 1));
	settle(&holder);
	close(own_tty);
	close(own_master);
	assert_int_equal(openpty(&next_master, &next_tty, NULL, NULL, NULL), 0);
	conn_ready(&other, d.socket, next_tty);
	settle(&other);
	assert_true(conn_send_bytes(&c, frame + 1, (size_t)n - 1, NULL, 0));
	expect_error(&c, ttylock_Code_ERROR_TERMINAL);
	e = lock_request(1, 1);
	e.body.lock_request.terminal = 5;
	assert_true(conn_send(&c, &e));
	assert_int_equal(
	    expect_status(&c, ttylock_State_STATE_REFUSED).code, ttylock_Code_ERROR_TERMINAL);
	conn_close(&c);
	conn_close(&other);
	close(next_tty);
	close(next_master);
}

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

static void stray_descriptors_close(void **state)
{
	struct conn c;
	ttylock_Envelope open = envelope(ttylock_Envelope_terminal_open_tag);
	ttylock_Envelope hello = envelope(ttylock_Envelope_hello_tag);
	ttylock_Envelope lock = lock_request(1, 1);
	ttylock_Envelope query = envelope(ttylock_Envelope_status_query_tag);
	ttylock_Envelope answer;
	uint8_t out[FRAME_MAX];

	(void)state;
	hello.body.hello.version = 1;
	greeted(&c); /* two on a frame for one */
	size_t n = (size_t)frame_encode(&open, out, sizeof(out));
	conn_send_bytes(&c, out, n, (int[]){tty, tty}, 2);
	expect_closed(&c);
	greeted(&c); /* four */
	conn_send_bytes(&c, out, n, (int[]){tty, tty, tty, tty}, 4);
	expect_closed(&c);
	greeted(&c); /* none */
	conn_send(&c, &open);
	expect_closed(&c);
	greeted(&c); /* one on a frame for none */
	conn_send_fd(&c, &query, tty);
	conn_send(&c, &query);
	while (conn_recv(&c, &answer))
		assert_int_equal(answer.which_body, ttylock_Envelope_status_report_tag);
	conn_close(&c);
	greeted(&c);
	conn_send_fd(&c, &lock, tty);
	while (conn_recv(&c, &answer))
		assert_int_equal(answer.which_body, ttylock_Envelope_lock_status_tag);
	conn_close(&c);
	/* The same, with the frame after it begun in the same write: the one after
	 * that tells that there will be no TerminalOpen. */
	greeted(&c);
	n = (size_t)frame_encode(&query, out, sizeof(out));
	memcpy(out + n, out, n);
	conn_send_bytes(&c, out, n + 1, &tty, 1);
	settle(&holder);
	conn_send_bytes(&c, out + n + 1, n - 1, NULL, 0);
	settle(&holder);
	conn_send_bytes(&c, out, n, NULL, 0);
	while (conn_recv(&c, &answer))
		assert_int_equal(answer.which_body, ttylock_Envelope_status_report_tag);
	conn_close(&c);
	conn_open(&c, d.socket);
	conn_send_fd(&c, &hello, tty);
	while (conn_recv(&c, &answer))
		assert_int_equal(answer.which_body, ttylock_Envelope_welcome_tag);
	conn_close(&c);
	n = (size_t)frame_encode(&open, out, sizeof(out));
	greeted(&c); /* its own socket: unread, that would never see a hangup */
	conn_send_bytes(&c, out, n, (int[]){c.fd}, 1);
	expect_error(&c, ttylock_Code_ERROR_TERMINAL);
	conn_close(&c);
}

/* However the bytes arrive, the descriptor belongs to its frame. */
/* Another terminal beside the holder's. */
struct second {
	int master, tty;
	char name[64];
};

static struct second second_open(void)
{
	struct second s;

	assert_int_equal(openpty(&s.master, &s.tty, s.name, NULL, NULL), 0);
	return s;
}

static void second_close(const struct second *s)
{
	close(s->tty);
	close(s->master);
}

static void daemon_stand_still(void)
{
	int status;

	kill(d.pid, SIGSTOP);
	assert_int_equal(waitpid(d.pid, &status, WUNTRACED), d.pid);
}

/* Hello, the terminal and a request for it; *at_open: where the second begins. */
static size_t three_frames(uint8_t *out, size_t *at_open)
{
	ttylock_Envelope hello = envelope(ttylock_Envelope_hello_tag);
	ttylock_Envelope open = envelope(ttylock_Envelope_terminal_open_tag);
	ttylock_Envelope lock = lock_request(1, 9);

	hello.body.hello.version = 1;
	size_t n = (size_t)frame_encode(&hello, out, FRAME_MAX);
	*at_open = n;
	n += (size_t)frame_encode(&open, out + n, FRAME_MAX);
	return n + (size_t)frame_encode(&lock, out + n, FRAME_MAX);
}

/* What came of the three: the other terminal is this connection's; both are closed. */
static void granted_and_left(struct conn *c, const struct second *s)
{
	ttylock_Envelope welcome;

	expect(c, ttylock_Envelope_welcome_tag, &welcome);
	assert_string_equal(expect_status(c, ttylock_State_STATE_GRANTED).terminal, s->name);
	/* Its end may be seen after what the holder asks next. */
	say_release(c, 1);
	settle(c);
	conn_close(c);
	second_close(s);
}

static void a_descriptor_comes_with_three_frames_in_one_write(void **state)
{
	struct second s = second_open();
	uint8_t out[3 * FRAME_MAX];
	struct conn c;
	size_t at_open, n = three_frames(out, &at_open);

	(void)state;
	conn_open(&c, d.socket);
	conn_send_bytes(&c, out, n, &s.tty, 1);
	granted_and_left(&c, &s);
}

static void a_descriptor_comes_with_the_first_byte_of_its_frame(void **state)
{
	struct second s = second_open();
	uint8_t out[3 * FRAME_MAX];
	struct conn c;
	size_t at_open, n = three_frames(out, &at_open);

	(void)state;
	conn_open(&c, d.socket);
	for (size_t i = 0; i < n; i++) {
		conn_send_bytes(&c, out + i, 1, &s.tty, i == at_open);
		settle(&holder);
	}
	granted_and_left(&c, &s);
}

/* A long write whose descriptor arrives before its frame, and at once the next
 * descriptor: the two must not be read together. */
static void a_descriptor_comes_before_its_frame(void **state)
{
	ttylock_Envelope filler = envelope(ttylock_Envelope_terminal_state_tag);
	ttylock_Envelope open = envelope(ttylock_Envelope_terminal_open_tag);
	ttylock_Envelope lock = lock_request(1, 9);
	struct second s = second_open();
	uint8_t longer[5 * FRAME_MAX];
	struct conn c;
	size_t n = 0;

	(void)state;
	greeted(&c);
	filler.body.terminal_state.saved.size = 192;
	while (n < FRAME_MAX)
		n += (size_t)frame_encode(&filler, longer + n, FRAME_MAX);
	n += (size_t)frame_encode(&open, longer + n, FRAME_MAX);
	daemon_stand_still();
	conn_send_bytes(&c, longer, n, &s.tty, 1);
	open.body.terminal_open.terminal = 1;
	conn_send_fd(&c, &open, tty);
	conn_send(&c, &lock);
	kill(d.pid, SIGCONT);
	assert_string_equal(expect_status(&c, ttylock_State_STATE_GRANTED).terminal, s.name);
	/* Its end may be seen after what the holder asks next. */
	say_release(&c, 1);
	settle(&c);
	conn_close(&c);
	second_close(&s);
}

/* Many in a row while the daemon stands: it must not read one descriptor's bytes
 * together with the next descriptor. */
static void descriptors_in_a_row_are_kept_apart(void **state)
{
	ttylock_Envelope open = envelope(ttylock_Envelope_terminal_open_tag);
	ttylock_Envelope lock = lock_request(1, 9), e;
	struct second s = second_open();
	struct conn c;

	(void)state;
	greeted(&c);
	daemon_stand_still();
	lock.body.lock_request.text[0] = '\0';
	memset(lock.body.lock_request.text, 'x', 250);
	for (int i = 0; i < 40; i++) {
		lock.body.lock_request.request = 100 + (uint64_t)i;
		lock.body.lock_request.terminal = 0;
		lock.body.lock_request.task.id = (uint64_t)i;
		assert_true(conn_send_fd(&c, &open, i % 2 ? s.tty : tty));
		assert_true(conn_send(&c, &lock));
	}
	kill(d.pid, SIGCONT);
	for (int i = 0; i < 40; i++) {
		expect(&c, ttylock_Envelope_lock_status_tag, &e);
		assert_int_equal(e.body.lock_status.state,
		    i == 1 ? ttylock_State_STATE_GRANTED : ttylock_State_STATE_QUEUED);
		assert_int_equal(e.body.lock_status.position, i == 1 ? 0 : i / 2 + (i % 2 == 0));
	}
	conn_close(&c);
	second_close(&s);
}

static void no_terminal_is_refused(void **state)
{
	struct conn c;
	char name[64];
	int pipes[2];

	(void)state;
	assert_int_equal(ttyname_r(tty, name, sizeof(name)), 0);
	assert_int_equal(pipe(pipes), 0);
	const int fds[] = {open(name, O_RDONLY | O_NOCTTY), open(name, O_WRONLY | O_NOCTTY),
	    open(name, O_PATH), dup(master), pipes[0], pipes[1], open("/dev/null", O_RDWR),
	    open("/", O_RDONLY)};
	greeted(&c);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		assert_true(fds[i] >= 0);
		say_open(&c, 2, fds[i]);
		expect_error(&c, ttylock_Code_ERROR_TERMINAL);
		ttylock_Envelope e = lock_request(1, 7);
		e.body.lock_request.terminal = 2;
		conn_send(&c, &e);
		assert_int_equal(expect_status(&c, ttylock_State_STATE_REFUSED).code,
		    ttylock_Code_ERROR_TERMINAL);
		close(fds[i]);
	}
	say_open(&c, 8, tty);
	expect_error(&c, ttylock_Code_ERROR_INVALID);
	conn_close(&c);
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

static void dead_terminal_is_refused(void **state)
{
	struct conn c;
	int m2, tty2;

	(void)state;
	assert_int_equal(openpty(&m2, &tty2, NULL, NULL, NULL), 0);
	conn_ready(&c, d.socket, tty2);
	settle(&c);
	close(m2);
	close(tty2);
	say_lock(&c, 1, 1);
	assert_int_equal(
	    expect_status(&c, ttylock_State_STATE_REFUSED).code, ttylock_Code_ERROR_TERMINAL);
	conn_close(&c);
}

/* How many descriptors it has, and that none of them is a usable terminal. */
static int descriptors(void)
{
	char path[300], target[300];
	int n = 0;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)d.pid);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		FILE *f;
		unsigned flags = 0;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)d.pid, entry->d_name);
		ssize_t len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		n++;
		target[len] = '\0';
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)d.pid, entry->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "pos: %*d flags: %o", &flags) == 1 &&
		    strncmp(target, "/dev/pts/", 9) == 0)
			assert_true(flags & O_PATH);
		fclose(f);
	}
	closedir(dir);
	return n;
}

static void nothing_leaks(void **state)
{
	struct conn c;
	int before, pipes[2];

	(void)state;
	settle(&holder);
	before = descriptors();
	for (int i = 0; i < 50; i++) {
		int m2, tty2;

		assert_int_equal(openpty(&m2, &tty2, NULL, NULL, NULL), 0);
		assert_int_equal(pipe(pipes), 0);
		conn_ready(&c, d.socket, tty2);
		say_open(&c, 1, tty);
		say_open(&c, 1, tty2);
		say_open(&c, 2, pipes[0]);
		expect_error(&c, ttylock_Code_ERROR_TERMINAL);
		say_lock(&c, 1, 1);
		expect_status(&c, ttylock_State_STATE_GRANTED);
		if (i % 2)
			say_release(&c, 1); /* else it is left dirty, and dies */
		if (i % 5 == 0)
			conn_send_bytes(&c, "\xff\xff\xff", 3, (int[]){tty}, 1);
		conn_close(&c);
		close(m2);
		close(tty2);
		close(pipes[0]);
		close(pipes[1]);
	}
	/* A new terminal makes it forget the dead ones. */
	int m2, tty2;
	assert_int_equal(openpty(&m2, &tty2, NULL, NULL, NULL), 0);
	conn_ready(&c, d.socket, tty2);
	settle(&c);
	conn_close(&c);
	for (int i = 0; i < 1000 && descriptors() != before; i++)
		settle(&holder);
	assert_int_equal(descriptors(), before);
	close(tty2);
	close(m2);
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
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(malformed_frame_closes),
	    TEST(proof_of_a_dead_terminal_is_none),
	    TEST(wrong_state_closes),
	    TEST(other_version_is_refused),
	    TEST(cut_and_closed_changes_nothing),
	    TEST(stray_descriptors_close),
	    TEST(a_descriptor_comes_with_three_frames_in_one_write),
	    TEST(a_descriptor_comes_with_the_first_byte_of_its_frame),
	    TEST(a_descriptor_comes_before_its_frame),
	    TEST(descriptors_in_a_row_are_kept_apart),
	    TEST(no_terminal_is_refused),
	    TEST(bad_fields_are_refused),
	    TEST(dead_terminal_is_refused),
	    TEST(nothing_leaks),
	    TEST(unread_client_blocks_nobody),
	    TEST(garbage_touches_nobody),
	    TEST(users_are_kept_apart),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
