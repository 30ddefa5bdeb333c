/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a -lutil */
/* How the daemon starts and ends: alone on its socket, and with its last user. */
#include "tests/unit/wire.h"

#include <sys/resource.h>

static struct daemon d;

static int setup(void **state)
{
	(void)state;
	daemon_dir(&d);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	daemon_dir_remove(&d);
	return 0;
}

static void fifty_at_once_are_one(void **state)
{
	enum { N = 50 };
	pid_t pid[N];
	int ready[N], serving = -1;
	struct conn c;

	(void)state;
	for (int i = 0; i < N; i++)
		pid[i] = daemon_spawn(&d, false, &ready[i]);
	for (int i = 0; i < N; i++) {
		char answer = byte_read(ready[i]);

		if (answer == 'R') {
			assert_int_equal(serving, -1);
			serving = i;
		} else {
			assert_int_equal(answer, 'B');
		}
		close(ready[i]);
	}
	assert_true(serving >= 0);
	for (int i = 0; i < N; i++) {
		if (i != serving)
			assert_int_equal(status_within(pid[i]), 0);
	}
	conn_open(&c, d.socket);
	say_hello(&c);
	conn_close(&c);
	d.pid = pid[serving];
	daemon_stop(&d);
}

static void killed_daemon_is_replaced(void **state)
{
	struct conn c;
	struct stat st;

	(void)state;
	daemon_start(&d, false);
	kill(d.pid, SIGKILL);
	status_within(d.pid);
	assert_int_equal(access(d.socket, F_OK), 0); /* stale */
	daemon_start(&d, false);
	assert_int_equal(stat(d.socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	conn_open(&c, d.socket);
	say_hello(&c);
	conn_close(&c);
	daemon_stop(&d);
}

static void on_demand_ends_with_its_last_user(void **state)
{
	struct conn a, b;
	struct pollfd p;

	(void)state;
	daemon_start(&d, true);
	conn_open(&a, d.socket);
	say_hello(&a);
	conn_open(&b, d.socket);
	say_hello(&b);
	conn_close(&a);
	p.fd = (int)syscall(SYS_pidfd_open, d.pid, 0);
	p.events = POLLIN;
	/* Longer than it stays when nobody is there. */
	assert_int_equal(poll(&p, 1, 1300), 0);
	conn_close(&b);
	assert_int_equal(status_within(d.pid), 0);
	assert_int_equal(access(d.socket, F_OK), -1);
	close(p.fd);
}

/* One client after the other, each at the moment when the daemon wants to end:
 * a client that was let in is served, one that was not sees it at once. */
static void ending_daemon_answers_or_hangs_up(void **state)
{
	struct conn c;
	ttylock_Envelope e = envelope(ttylock_Envelope_hello_tag);
	int status;

	(void)state;
	e.body.hello.version = 1;
	for (int round = 0; round < 2; round++) {
		daemon_start(&d, true);
		conn_open(&c, d.socket);
		say_hello(&c);
		conn_close(&c);
		/* It stands still past its time; a client comes meanwhile. */
		kill(d.pid, SIGSTOP);
		assert_int_equal(waitpid(d.pid, &status, WUNTRACED), d.pid);
		poll(NULL, 0, 1100);
		conn_open(&c, d.socket);
		assert_true(conn_send(&c, &e));
		kill(d.pid, SIGCONT);
		expect(&c, ttylock_Envelope_welcome_tag, &e);
		e = envelope(ttylock_Envelope_hello_tag);
		e.body.hello.version = 1;
		conn_close(&c);
		assert_int_equal(status_within(d.pid), 0);
	}
}

static void what_is_in_the_way_stays(void **state)
{
	int ready, fd = open(d.socket, O_WRONLY | O_CREAT | O_EXCL, 0600);
	char lock[96], target[96];
	struct stat st;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	pid_t pid = daemon_spawn(&d, false, &ready);
	assert_int_equal(byte_read(ready), 0);
	assert_int_equal(status_within(pid), 1 << 8);
	assert_int_equal(stat(d.socket, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	close(ready);
	unlink(d.socket);

	/* A symbolic link as the lock file is not followed. */
	snprintf(lock, sizeof(lock), "%s.lock", d.socket);
	snprintf(target, sizeof(target), "%s.target", d.socket);
	unlink(lock);
	assert_int_equal(symlink(target, lock), 0);
	pid = daemon_spawn(&d, false, &ready);
	assert_int_equal(byte_read(ready), 0);
	assert_int_equal(status_within(pid), 1 << 8);
	assert_int_equal(access(target, F_OK), -1);
	close(ready);

	/* Nor is a directory taken in which everybody can replace the socket. */
	unlink(lock);
	assert_int_equal(chmod(d.dir, 0777), 0);
	pid = daemon_spawn(&d, false, &ready);
	assert_int_equal(byte_read(ready), 0);
	assert_int_equal(status_within(pid), 1 << 8);
	close(ready);
	assert_int_equal(chmod(d.dir, 0700), 0);
}

/* Runs it with arguments; its exit status, and the first line it wrote. */
static int run(const char *const *args, char *line, size_t size)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(p[1], STDOUT_FILENO);
		dup2(p[1], STDERR_FILENO);
		close(p[0]);
		close(p[1]);
		execv(daemon_program(), (char *const *)(uintptr_t)args);
		_exit(127);
	}
	close(p[1]);
	FILE *f = fdopen(p[0], "r");
	assert_non_null(f);
	if (!fgets(line, (int)size, f))
		line[0] = '\0';
	int status = status_within(pid);
	fclose(f);
	return WEXITSTATUS(status);
}

static void usage_errors_are_64(void **state)
{
	static const char *const bad[][4] = {
	    {"ttylockd", "--nonsense", NULL, NULL},
	    {"ttylockd", "argument", NULL, NULL},
	    {"ttylockd", "--socket", NULL, NULL},
	    {"ttylockd", "--ready-fd", "x", NULL},
	    {"ttylockd", "--ready-fd", "999", NULL},
	    {"ttylockd", "--log-level", "loud", NULL},
	};
	static const char *const help[] = {"ttylockd", "--help", NULL};
	static const char *const version[] = {"ttylockd", "--version", NULL};
	static const char *const missing[] = {"ttylockd", "--socket", "/nonexistent/x", NULL};
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(run(bad[i], line, sizeof(line)), 64);
		assert_int_equal(strncmp(line, "ttylockd: ", 10), 0);
	}
	assert_int_equal(run(help, line, sizeof(line)), 0);
	assert_int_equal(strncmp(line, "Usage: ttylockd", 15), 0);
	assert_int_equal(run(version, line, sizeof(line)), 0);
	assert_string_equal(line, "ttylockd " TTYLOCK_VERSION "\n");
	assert_int_equal(run(missing, line, sizeof(line)), 1);
	assert_string_equal(line, "ttylockd: /nonexistent/x: No such file or directory\n");
}

/* As by a service manager: the socket is its own, and stays. */
static void given_socket_is_served(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct conn c;

	(void)state;
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", d.socket);
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s, 8), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char self[16];
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDERR_FILENO);
		if (s == 3)
			fcntl(s, F_SETFD, 0);
		else
			dup2(s, 3);
		snprintf(self, sizeof(self), "%d", (int)getpid());
		setenv("LISTEN_PID", self, 1);
		setenv("LISTEN_FDS", "1", 1);
		execl(daemon_program(), "ttylockd", NULL);
		_exit(127);
	}
	conn_open(&c, d.socket);
	say_hello(&c);
	conn_close(&c);
	/* Another one finds that this socket is served, lock or no lock. */
	int ready;
	pid_t second = daemon_spawn(&d, false, &ready);
	assert_int_equal(byte_read(ready), 'B');
	assert_int_equal(status_within(second), 0);
	close(ready);
	kill(pid, SIGTERM);
	assert_int_equal(status_within(pid), 0);
	assert_int_equal(access(d.socket, F_OK), 0);
	close(s);
}

/* Few descriptors: whoever is turned away is told, those inside are served, and
 * there is room again when one of them leaves. */
static void without_descriptors_it_still_serves(void **state)
{
	enum { N = 30 };
	const struct rlimit low = {32, 32};
	struct conn c[N], late;
	ttylock_Envelope e;
	int in = 0, away = 0, m, tty;

	(void)state;
	daemon_start(&d, false);
	assert_int_equal(openpty(&m, &tty, NULL, NULL, NULL), 0);
	conn_ready(&late, d.socket, tty);
	assert_int_equal(prlimit(d.pid, RLIMIT_NOFILE, &low, NULL), 0);
	for (int i = 0; i < N; i++) {
		e = envelope(ttylock_Envelope_hello_tag);
		e.body.hello.version = 1;
		conn_open(&c[i], d.socket);
		conn_send(&c[i], &e);
		assert_true(conn_recv(&c[i], &e));
		if (e.which_body == ttylock_Envelope_welcome_tag) {
			assert_int_equal(away, 0);
			in++;
		} else {
			assert_int_equal(e.body.error.code, ttylock_Code_ERROR_QUOTA);
			away++;
		}
	}
	assert_true(in > 3 && away > 3);
	say_lock(&late, 1, 1);
	expect_status(&late, ttylock_State_STATE_GRANTED);
	conn_close(&c[0]);
	conn_close(&c[1]);
	status_all(&late, NULL, 0);
	conn_open(&c[0], d.socket);
	say_hello(&c[0]);
	conn_close(&c[0]);
	for (int i = 2; i < N; i++)
		conn_close(&c[i]);
	conn_close(&late);
	close(tty);
	close(m);
	daemon_stop(&d);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(fifty_at_once_are_one),
	    TEST(killed_daemon_is_replaced),
	    TEST(on_demand_ends_with_its_last_user),
	    TEST(ending_daemon_answers_or_hangs_up),
	    TEST(what_is_in_the_way_stays),
	    TEST(usage_errors_are_64),
	    TEST(given_socket_is_served),
	    TEST(without_descriptors_it_still_serves),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
