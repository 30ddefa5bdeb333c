/* links: tests/chaos/parts.o */
/* How a process of a storm may end, and what is said of one that may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/chaos/parts.h"

#define LIMIT_MS 30000

/* In a build with AddressSanitizer. */
void __lsan_do_leak_check(void) __attribute__((weak));

/* --- ends ------------------------------------------------------------------- */

enum manner { BY_EXIT, BY_SIGNAL, BY_CRASH };

/* name: its part; NULL: none. */
static struct part_end end_of(const char *name, enum manner manner, int number)
{
	struct rlimit none = {0, 0};
	struct part_end e;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (name)
			part_begin("%s", name);
		if (manner == BY_EXIT)
			_exit(number);
		if (manner == BY_CRASH)
			part_crashes();
		setrlimit(RLIMIT_CORE, &none);
		signal(number, SIG_DFL);
		raise(number);
		_exit(99);
	}
	assert_true(part_await(0, &e));
	assert_int_equal(e.pid, pid);
	return e;
}

static void ends_that_may_be(void **state)
{
	(void)state;
	assert_true(end_of("one", BY_EXIT, 0).fair);
	assert_true(end_of(NULL, BY_EXIT, 0).fair);
	assert_true(end_of("one", BY_SIGNAL, SIGKILL).fair);
	assert_true(end_of(NULL, BY_SIGNAL, SIGTERM).fair);
	assert_true(end_of("one", BY_CRASH, SIGSEGV).fair);
}

static void ends_that_may_not_be(void **state)
{
	(void)state;
	assert_false(end_of("one", BY_EXIT, 1).fair);
	assert_false(end_of("one", BY_EXIT, 4).fair);
	assert_false(end_of(NULL, BY_EXIT, 66).fair);
	assert_false(end_of("one", BY_SIGNAL, SIGSEGV).fair);
	assert_false(end_of("one", BY_CRASH, SIGABRT).fair);
}

static void whose_end_it_was_is_said(void **state)
{
	(void)state;
	struct part_end e = end_of("worker 7", BY_EXIT, 5);
	char wanted[96];

	snprintf(wanted, sizeof(wanted), "worker 7 %d (test_parts) has ended by exit 5", e.pid);
	assert_string_equal(e.what, wanted);
	assert_null(part_name(e.pid));
	e = end_of(NULL, BY_SIGNAL, SIGABRT);
	snprintf(wanted, sizeof(wanted),
	    "one without a part, %d (test_parts) has ended by signal 6", e.pid);
	assert_string_equal(e.what, wanted);
}

static void nobody_to_wait_for(void **state)
{
	(void)state;
	struct part_end e;

	assert_false(part_await(0, &e));
	assert_false(part_await(WNOHANG, &e));
}

/* --- the leak check --------------------------------------------------------- */

/* Has who looks into a process that exits stand still where it begins. Returns its
 * listener. */
static int listen_for_tracer(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PDEATHSIG, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(
	    SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* A process that exits once *go is closed. -1: there are no such listeners here. */
static pid_t start_one_that_exits(int *listener, int *go)
{
	int there[2], back[2], fd = -1;

	assert_int_equal(pipe2(there, O_CLOEXEC) | pipe2(back, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char byte;
		close(back[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = listen_for_tracer();
		if (write(there[1], &fd, sizeof(fd)) != sizeof(fd) || read(back[0], &byte, 1) != 0)
			_exit(1);
		exit(0);
	}
	close(there[1]);
	close(back[0]);
	assert_int_equal(read(there[0], &fd, sizeof(fd)), sizeof(fd));
	close(there[0]);
	int pidfd = pidfd_open(pid, 0);
	*listener = fd < 0 ? -1 : pidfd_getfd(pidfd, fd, 0);
	close(pidfd);
	*go = back[1];
	return pid;
}

/* Returns whether somebody stands still there. */
static bool hear(int listener, struct seccomp_notif *out)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	*out = (struct seccomp_notif){0};
	return (p.revents & POLLIN) && ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, out) == 0;
}

static void go_on(int listener, const struct seccomp_notif *who)
{
	struct seccomp_notif_resp answer = {
	    .id = who->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
}

static void one_that_looked_into_a_process_that_was_killed(void **state)
{
	(void)state;
	struct seccomp_notif tracer;
	struct part_end e;
	int listener, go;

	if (!__lsan_do_leak_check)
		return;
	pid_t pid = start_one_that_exits(&listener, &go);

	close(go);
	if (listener < 0 || !hear(listener, &tracer)) {
		assert_true(part_await(0, &e));
		close(listener);
		print_message("skipped: no leak check at the exit, or no listener for its calls\n");
		return;
	}
	kill(pid, SIGKILL);
	assert_true(part_await(0, &e));
	assert_int_equal(e.pid, pid);
	go_on(listener, &tracer);
	assert_true(part_await(0, &e));
	assert_int_equal(e.pid, tracer.pid);
	assert_non_null(strstr(e.what, " has ended by exit 4"));
	assert_true(e.fair);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ends_that_may_be),
	    cmocka_unit_test(ends_that_may_not_be),
	    cmocka_unit_test(whose_end_it_was_is_said),
	    cmocka_unit_test(nobody_to_wait_for),
	    cmocka_unit_test(one_that_looked_into_a_process_that_was_killed),
	};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	parts_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
