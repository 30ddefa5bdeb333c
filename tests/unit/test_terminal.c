/* links: daemon/terminal.o daemon/proof.o daemon/discard.o daemon/usage.o daemon/policy.o daemon/bucket.o daemon/text.o */
/* What a descriptor proves about a terminal, with real ptys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proof.h"
#include "daemon/terminal.h"
#include "daemon/usage.h"

struct pty {
	int master, slave;
	char name[64];
};

static struct pty pty_open(void)
{
	struct pty p;

	assert_int_equal(openpty(&p.master, &p.slave, p.name, NULL, NULL), 0);
	return p;
}

static void pty_close(struct pty *p)
{
	close(p->slave);
	close(p->master);
}

/* Takes over fd, as the daemon does. */
static int take(int fd, struct proof *p)
{
	return proof_take(fd, getpid(), getuid(), p);
}

static void slave_is_proof(void **state)
{
	struct pty pty = pty_open();
	struct proof p;
	struct stat st;
	int fd = dup(pty.slave);

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(take(fd, &p), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
	assert_string_equal(p.path, pty.name);
	assert_int_equal(p.filesystem, st.st_dev);
	assert_int_equal(p.device, st.st_rdev);
	assert_true(fcntl(p.handle, F_GETFL) & O_PATH);
	assert_true(fcntl(p.handle, F_GETFD) & FD_CLOEXEC);
	proof_close(&p);
	pty_close(&pty);
}

/* The handle does not keep the terminal in use: its master sees the hangup. */
static void handle_hides_no_hangup(void **state)
{
	struct pty pty = pty_open();
	struct pollfd poll_master = {.fd = pty.master, .events = POLLIN};
	struct proof p;

	(void)state;
	assert_int_equal(take(pty.slave, &p), 0);
	assert_int_equal(poll(&poll_master, 1, 5000), 1);
	assert_true(poll_master.revents & POLLHUP);
	proof_close(&p);
	close(pty.master);
}

static void anything_else_is_refused(void **state)
{
	struct pty pty = pty_open();
	struct proof p = {.handle = -1};
	int pipes[2], pair[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(take(pipes[0], &p), -ENOTTY);
	assert_int_equal(take(pipes[1], &p), -ENOTTY);
	assert_int_equal(take(pair[0], &p), -ENOTTY);
	assert_int_equal(take(open("/dev/null", O_RDWR), &p), -ENOTTY);
	assert_int_equal(take(open("/", O_RDONLY), &p), -ENOTTY);
	assert_int_equal(take(memfd_create("x", 0), &p), -ENOTTY);
	assert_int_equal(take(open(pty.name, O_RDONLY | O_NOCTTY), &p), -EACCES);
	assert_int_equal(take(open(pty.name, O_WRONLY | O_NOCTTY), &p), -EACCES);
	assert_int_equal(take(open(pty.name, O_PATH), &p), -EACCES);
	assert_int_equal(take(dup(pty.master), &p), -EACCES);
	assert_int_equal(p.handle, -1);
	close(pair[1]);
	pty_close(&pty);
}

static void dead_is_refused(void **state)
{
	struct pty pty = pty_open();
	struct proof p;

	(void)state;
	close(pty.master);
	assert_int_equal(take(pty.slave, &p), -EIO);
}

/* /dev/tty is 5:0 for everybody; which terminal it is only TIOCGDEV says. */
static void dev_tty_is_resolved(void **state)
{
	struct pty pty = pty_open();
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct proof by_alias, by_name;

		setsid();
		if (ioctl(pty.slave, TIOCSCTTY, 0) < 0)
			_exit(1);
		if (take(open("/dev/tty", O_RDWR), &by_alias) < 0)
			_exit(2);
		if (take(dup(pty.slave), &by_name) < 0)
			_exit(3);
		if (by_alias.device != by_name.device || by_alias.filesystem != by_name.filesystem)
			_exit(4);
		if (strcmp(by_alias.path, pty.name) != 0)
			_exit(5);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pty_close(&pty);
}

static void same_terminal_is_one_record(void **state)
{
	struct terminals set;
	struct usages usages = {0};
	struct usage *u = usages_get(&usages, 7);
	struct pty a = pty_open(), b = pty_open();
	struct proof pa, pa_again, pb;

	(void)state;
	terminals_init(&set);
	assert_int_equal(take(dup(a.slave), &pa), 0);
	assert_int_equal(take(open(a.name, O_RDWR | O_NOCTTY), &pa_again), 0);
	assert_int_equal(take(dup(b.slave), &pb), 0);
	struct terminal *t = terminals_add(&set, &pa, u);
	assert_non_null(t);
	assert_int_equal(pa.handle, -1); /* taken over */
	assert_int_equal(u->terminals, 1);
	assert_ptr_equal(terminals_find(&set, &pa_again), t);
	assert_null(terminals_find(&set, &pb));
	assert_true(terminal_alive(t));
	assert_int_equal(terminal_owner(t), getuid());
	terminal_ref(t);
	terminal_unref(t);
	assert_int_equal(set.count, 1);
	terminal_unref(t);
	assert_int_equal(set.count, 0);
	assert_int_equal(u->terminals, 0);
	proof_close(&pa_again);
	proof_close(&pb);
	pty_close(&a);
	pty_close(&b);
	usage_unref(u);
	assert_null(usages.first);
	terminals_deinit(&set);
}

/* The same name and the same numbers, yet another terminal. */
static void reused_name_is_a_new_terminal(void **state)
{
	struct terminals set;
	struct pty old = pty_open(), new;
	struct proof p, again;

	(void)state;
	terminals_init(&set);
	assert_int_equal(take(dup(old.slave), &p), 0);
	struct terminal *t = terminals_add(&set, &p, NULL);
	pty_close(&old);
	assert_false(terminal_alive(t));
	assert_int_equal(terminal_owner(t), (uid_t)-1);
	new = pty_open();
	assert_int_equal(take(dup(new.slave), &again), 0);
	if (again.device == t->proof.device) {
		assert_int_equal(again.filesystem, t->proof.filesystem);
		assert_null(terminals_find(&set, &again));
	}
	proof_close(&again);
	pty_close(&new);
	terminals_deinit(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slave_is_proof),
	    cmocka_unit_test(handle_hides_no_hangup),
	    cmocka_unit_test(anything_else_is_refused),
	    cmocka_unit_test(dead_is_refused),
	    cmocka_unit_test(dev_tty_is_resolved),
	    cmocka_unit_test(same_terminal_is_one_record),
	    cmocka_unit_test(reused_name_is_a_new_terminal),
	};

	alarm(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
