/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* Descriptors that come with frames: each belongs to one of them, proves a terminal or
 * nothing, and is closed. */
#include "tests/unit/holder.h"

#include <dirent.h>

/* Nothing but such answers comes before its end. */
static void closes_after(struct conn *c, pb_size_t tag)
{
	ttylock_Envelope answer;

	while (conn_recv(c, &answer))
		assert_int_equal(answer.which_body, tag);
	conn_close(c);
}

static void stray_descriptors_close(void **state)
{
	struct conn c;
	ttylock_Envelope open = envelope(ttylock_Envelope_terminal_open_tag);
	ttylock_Envelope hello = envelope(ttylock_Envelope_hello_tag);
	ttylock_Envelope lock = lock_request(1, 1);
	ttylock_Envelope query = envelope(ttylock_Envelope_status_query_tag);
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
	closes_after(&c, ttylock_Envelope_status_report_tag);
	greeted(&c);
	conn_send_fd(&c, &lock, tty);
	closes_after(&c, ttylock_Envelope_lock_status_tag);
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
	closes_after(&c, ttylock_Envelope_status_report_tag);
	conn_open(&c, d.socket);
	conn_send_fd(&c, &hello, tty);
	closes_after(&c, ttylock_Envelope_welcome_tag);
	n = (size_t)frame_encode(&open, out, sizeof(out));
	greeted(&c); /* its own socket: unread, that would never see a hangup */
	conn_send_bytes(&c, out, n, (int[]){c.fd}, 1);
	expect_error(&c, ttylock_Code_ERROR_TERMINAL);
	conn_close(&c);
}

/* --- however the bytes arrive, the descriptor belongs to its frame ----------- */

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

/* --- what is no terminal, or not any more ------------------------------------ */

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

/* --- in the end --------------------------------------------------------------- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(proof_of_a_dead_terminal_is_none),
	    TEST(stray_descriptors_close),
	    TEST(a_descriptor_comes_with_three_frames_in_one_write),
	    TEST(a_descriptor_comes_with_the_first_byte_of_its_frame),
	    TEST(a_descriptor_comes_before_its_frame),
	    TEST(descriptors_in_a_row_are_kept_apart),
	    TEST(no_terminal_is_refused),
	    TEST(dead_terminal_is_refused),
	    TEST(nothing_leaks),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
