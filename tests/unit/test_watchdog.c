/* links: daemon/watchdog.o daemon/log.o daemon/log_kind.o daemon/journal.o daemon/text.o */
/* links: proto/frame.o proto/ttylock.pb.o */
/* links: -l:libprotobuf-nanopb.a -levent_core -lsystemd -lutil */
/* What the service manager hears: a fake one listens at NOTIFY_SOCKET. */
#include "tests/unit/wire.h"

#include "daemon/watchdog.h"

/* A tenth of a second: the timer goes at half of it. */
#define INTERVAL "100000"

struct manager {
	struct daemon d;
	int sock;
};

static int setup(void **state)
{
	static struct manager m;
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	daemon_dir(&m.d);
	assert_in_range(snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", m.d.dir), 1,
	    sizeof(a.sun_path) - 1);
	m.sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(m.sock, (struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	setenv("WATCHDOG_USEC", INTERVAL, 1);
	unsetenv("WATCHDOG_PID");
	*state = &m;
	return 0;
}

static int teardown(void **state)
{
	struct manager *m = *state;

	close(m->sock);
	unlink(getenv("NOTIFY_SOCKET"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	daemon_dir_remove(&m->d);
	return 0;
}

/* The next message, or an empty one when there is none so soon. */
static const char *told(const struct manager *m, int within_ms)
{
	static char text[512];
	struct pollfd p = {.fd = m->sock, .events = POLLIN};

	text[0] = '\0';
	if (poll(&p, 1, within_ms) == 1) {
		ssize_t n = recv(m->sock, text, sizeof(text) - 1, 0);
		assert_true(n >= 0);
		text[n] = '\0';
	}
	return text;
}

static void count(char *out, size_t size, void *arg)
{
	snprintf(out, size, "round %d", ++*(int *)arg);
}

static void rounds(struct event_base *base, int n)
{
	while (n-- > 0)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
}

static void told_from_the_loop_alone(void **state)
{
	const struct manager *m = *state;
	struct event_base *base = event_base_new();
	struct watchdog *w;
	int n = 0;

	assert_int_equal(watchdog_new(base, count, &n, &w), 0);
	assert_non_null(w);
	assert_string_equal(told(m, DEADLINE_MS), "WATCHDOG=1\nSTATUS=round 1");
	/* Three intervals without the loop: not a word. */
	assert_string_equal(told(m, 300), "");
	rounds(base, 1);
	assert_string_equal(told(m, DEADLINE_MS), "WATCHDOG=1\nSTATUS=round 2");
	rounds(base, 2);
	assert_string_equal(told(m, DEADLINE_MS), "WATCHDOG=1\nSTATUS=round 3");
	assert_string_equal(told(m, DEADLINE_MS), "WATCHDOG=1\nSTATUS=round 4");
	watchdog_free(w);
	/* No event is left: the loop has nothing to do. */
	assert_int_equal(event_base_dispatch(base), 1);
	event_base_free(base);
}

static void half_the_interval(void **state)
{
	struct event_base *base = event_base_new();
	struct timespec from, to;
	struct watchdog *w;
	int n = 0;

	(void)state;
	assert_int_equal(watchdog_new(base, count, &n, &w), 0);
	clock_gettime(CLOCK_MONOTONIC, &from);
	rounds(base, 4);
	clock_gettime(CLOCK_MONOTONIC, &to);
	/* Not sooner, or it would feed itself warm. */
	assert_true(
	    (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >= 190);
	watchdog_free(w);
	event_base_free(base);
}

static void nobody_asks(void **state)
{
	const struct manager *m = *state;
	struct event_base *base = event_base_new();
	struct watchdog *w = (struct watchdog *)&w;
	int n = 0;

	unsetenv("WATCHDOG_USEC");
	assert_int_equal(watchdog_new(base, count, &n, &w), 0);
	assert_null(w);
	watchdog_free(w);

	/* Meant for another process, of which we are only a child. */
	setenv("WATCHDOG_USEC", INTERVAL, 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(watchdog_new(base, count, &n, &w), 0);
	assert_null(w);
	assert_int_equal(event_base_dispatch(base), 1);
	assert_string_equal(told(m, 0), "");
	event_base_free(base);
}

static void nonsense_is_an_error(void **state)
{
	struct event_base *base = event_base_new();
	struct watchdog *w;
	int n = 0;

	(void)state;
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_true(watchdog_new(base, count, &n, &w) < 0);
	event_base_free(base);
}

/* Until a message has that in it; they come by the interval. */
static void until_told(const struct manager *m, const char *part)
{
	const char *text = "";

	for (int i = 0; i < DEADLINE_MS / 50 && !strstr(text, part); i++)
		text = told(m, DEADLINE_MS);
	assert_non_null(strstr(text, part));
}

static void the_daemon_tells_what_it_is_at(void **state)
{
	struct manager *m = *state;
	struct conn holder, waiter;
	int master, slave;

	daemon_start(&m->d, false);
	until_told(m, "STATUS=0 hold a terminal, 0 wait");
	until_told(m, "READY=1");
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	conn_ready(&holder, m->d.socket, slave);
	conn_ready(&waiter, m->d.socket, slave);
	say_lock(&holder, 1, 1);
	until_told(m, "WATCHDOG=1\nSTATUS=1 hold a terminal, 0 wait");
	say_lock(&waiter, 1, 2);
	until_told(m, "WATCHDOG=1\nSTATUS=1 hold a terminal, 1 wait");
	conn_close(&holder);
	conn_close(&waiter);
	until_told(m, "WATCHDOG=1\nSTATUS=0 hold a terminal, 0 wait");
	kill(m->d.pid, SIGTERM);
	until_told(m, "STOPPING=1");
	assert_int_equal(status_within(m->d.pid), 0);
	close(master);
	close(slave);
}

/* Started by a client that is part of somebody's service: not a word for it. */
static void an_on_demand_daemon_is_no_service(void **state)
{
	struct manager *m = *state;

	daemon_start(&m->d, true);
	daemon_stop(&m->d);
	assert_string_equal(told(m, 0), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(told_from_the_loop_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(half_the_interval, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_asks, setup, teardown),
	    cmocka_unit_test_setup_teardown(nonsense_is_an_error, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_daemon_tells_what_it_is_at, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_on_demand_daemon_is_no_service, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
