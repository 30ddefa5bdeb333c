/* links: daemon/cred.o daemon/procstat.o daemon/text.o */
/* Who is at the other end, with real processes and sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/cred.h"

static int listener;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_len;

static int setup(void **state)
{
	(void)state;
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The kernel picks a name. */
	if (bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
	    listen(listener, 8) < 0)
		return -1;
	address_len = sizeof(address);
	return getsockname(listener, (struct sockaddr *)&address, &address_len);
}

static int teardown(void **state)
{
	(void)state;
	return close(listener);
}

/* A child that connects, does `then` and lives until its pipe is closed. */
static pid_t child(void (*then)(void), int *hold)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char c;
		int s = socket(AF_UNIX, SOCK_STREAM, 0);

		close(p[1]);
		if (then)
			then();
		if (connect(s, (struct sockaddr *)&address, address_len) < 0)
			_exit(1);
		_exit(read(p[0], &c, 1) == 0 ? 0 : 1);
	}
	close(p[0]);
	*hold = p[1];
	return pid;
}

static void finish(pid_t pid, int hold)
{
	int status;

	close(hold);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void tells_pid_uid_comm(void **state)
{
	struct cred c;
	int hold;
	pid_t pid = child(NULL, &hold);
	int s = accept(listener, NULL, NULL);

	(void)state;
	assert_int_equal(cred_read(s, &c), 0);
	assert_int_equal(c.pid, pid);
	assert_int_equal(c.uid, getuid());
	assert_string_equal(c.comm, "test_cred");
	assert_true(cred_alive(&c));
	struct pollfd p = {.fd = c.pidfd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
	finish(pid, hold);
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_false(cred_alive(&c));
	cred_close(&c);
	cred_close(&c);
	close(s);
}

static void name_evil(void)
{
	prctl(PR_SET_NAME, ") 1 (\n\x1b[2J");
}

static void comm_is_cleaned(void **state)
{
	struct cred c;
	int hold;
	pid_t pid = child(name_evil, &hold);
	int s = accept(listener, NULL, NULL);

	(void)state;
	assert_int_equal(cred_read(s, &c), 0);
	assert_string_equal(c.comm, ") 1 (??[2J");
	cred_close(&c);
	finish(pid, hold);
	close(s);
}

/* Reaped before we looked: its number means nothing any more. */
static void gone_before_accept(void **state)
{
	struct cred c = {.pidfd = -1};
	int hold;
	pid_t pid = child(NULL, &hold);
	struct pollfd p = {.fd = listener, .events = POLLIN};

	(void)state;
	assert_int_equal(poll(&p, 1, 5000), 1);
	finish(pid, hold);
	int s = accept(listener, NULL, NULL);
	assert_int_equal(cred_read(s, &c), -ESRCH);
	assert_int_equal(c.pidfd, -1);
	close(s);
}

/* One process, two connections: one identity. Two processes: two. */
static void identity_is_of_the_process(void **state)
{
	struct cred a, b, other;
	int pair[2], hold;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(cred_read(pair[0], &a), 0);
	assert_int_equal(cred_read(pair[1], &b), 0);
	assert_int_equal(a.process, b.process);
	assert_int_equal(a.pid, getpid());
	pid_t pid = child(NULL, &hold);
	int s = accept(listener, NULL, NULL);
	assert_int_equal(cred_read(s, &other), 0);
	assert_true(other.process != a.process);
	finish(pid, hold);
	close(s);
	close(pair[0]);
	close(pair[1]);
	cred_close(&a);
	cred_close(&b);
	cred_close(&other);
}

static void become_overflow(void)
{
	if (setresuid(65534, 65534, 65534) < 0)
		_exit(1);
}

/* Everybody of another user namespace looks like that. */
static void overflow_uid_is_denied(void **state)
{
	struct cred c;
	int hold;

	(void)state;
	if (getuid() != 0)
		skip();
	pid_t pid = child(become_overflow, &hold);
	int s = accept(listener, NULL, NULL);
	assert_int_equal(cred_read(s, &c), -EACCES);
	finish(pid, hold);
	close(s);
}

static void not_a_socket(void **state)
{
	struct cred c;

	(void)state;
	assert_int_equal(cred_read(STDERR_FILENO, &c) < 0, 1);
	char comm[32];
	cred_comm(-1, comm, sizeof(comm));
	assert_string_equal(comm, "?");
	cred_comm(0, comm, sizeof(comm));
	assert_string_equal(comm, "?");
}

static void *thread_tell(void *arg)
{
	int *ends = arg;
	pid_t tid = gettid();
	char byte;

	assert_int_equal(write(ends[1], &tid, sizeof(tid)), sizeof(tid));
	/* Until it has been looked for. */
	while (read(ends[2], &byte, 1) > 0)
		;
	return NULL;
}

/* The number of a process that is dead may be a thread's by now. */
static void number_of_a_thread_is_no_process(void **state)
{
	int told[2], over[2];
	pthread_t thread;
	struct cred c;
	pid_t tid;

	(void)state;
	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(over), 0);
	int ends[] = {told[0], told[1], over[0]};
	assert_int_equal(pthread_create(&thread, NULL, thread_tell, ends), 0);
	assert_int_equal(read(told[0], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(cred_find(tid, 1, &c), -ESRCH);
	close(over[1]);
	pthread_join(thread, NULL);
	close(over[0]);
	close(told[0]);
	close(told[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tells_pid_uid_comm),
	    cmocka_unit_test(comm_is_cleaned),
	    cmocka_unit_test(gone_before_accept),
	    cmocka_unit_test(identity_is_of_the_process),
	    cmocka_unit_test(overflow_uid_is_denied),
	    cmocka_unit_test(not_a_socket),
	    cmocka_unit_test(number_of_a_thread_is_no_process),
	};

	alarm(30);
	return cmocka_run_group_tests(tests, setup, teardown);
}
