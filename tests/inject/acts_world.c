/* Acts among others: who reads the terminal, who has died with it,
 * other users. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#include "../../client/lib/handover.h"
#include "../../client/lib/inherit.h"
#include "../../client/lib/input.h"
#include "../../client/lib/handle.h"
#include "../../client/lib/lock.h"
#include "../../client/lib/procfs.h"
#include "../../client/lib/readers.h"
#include "acts_inside.h"
#include "twist.h"

#define LOOKS 1000

/* --- other processes at the terminal ------------------------------------------ */

static pid_t child(void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		close(stage->world); /* whose end is the act's */
		run();
		_exit(0);
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void read_terminal(void)
{
	char byte;

	while (read(stage->tty, &byte, 1) > 0)
		;
}

static void poll_terminal(void)
{
	struct pollfd p = {.fd = stage->tty, .events = POLLIN};

	while (poll(&p, 1, -1) <= 0)
		;
}

static void select_terminal(void)
{
	fd_set set;

	do {
		FD_ZERO(&set);
		FD_SET(stage->tty, &set);
	} while (select(stage->tty + 1, &set, NULL, NULL, NULL) <= 0);
}

static void wait_in_epoll(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	int fd = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(fd, EPOLL_CTL_ADD, stage->tty, &e);
	while (epoll_wait(fd, &e, 1, -1) <= 0)
		;
}

static void compute(void)
{
	for (;;)
		;
}

static void idle(void)
{
	for (;;)
		pause();
}

static void await_state(pid_t pid, char state)
{
	struct procfs_stat ps;

	for (int i = 0; i < LOOKS; i++) {
		if (procfs_stat(pid, &ps) == 0 && ps.state == state)
			return;
		usleep(1000);
	}
	acts_fault("a child does not come");
}

static void note_input(pid_t pid, pid_t thread, enum input input, void *arg)
{
	(void)pid, (void)thread;
	*(enum input *)arg = input;
}

static void await_input(pid_t pid, enum input wanted)
{
	enum input input = INPUT_NONE;

	for (int i = 0; i < LOOKS; i++) {
		input_each(pid, stage->tty, note_input, &input);
		if (input == wanted)
			return;
		usleep(1000);
	}
	acts_fault("a child does not wait for the terminal");
}

static bool take_and_give(struct ttylock *t, uint64_t id)
{
	if (CALL(ttylock_take_terminal, t, id) < 0)
		return false;
	CALL(ttylock_give_terminal, t);
	return true;
}

/* One reads in the foreground as it goes, three wait for input, one computes, one is
 * stopped meanwhile. */
static void act_readers(void)
{
	struct ttylock_wish wish = {.text = "beside readers"};
	pid_t others[] = {child(read_terminal), child(compute), child(idle), child(poll_terminal),
	    child(select_terminal), child(wait_in_epoll)};
	struct ttylock *t = acts_opened(stage->tty);
	uint64_t id;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (i != 1 && i != 2)
			await_input(others[i], i == 0 ? INPUT_READ : INPUT_POLL);
	inject_arm();
	readers_await_none(others[1], stage->tty);
	inject_disarm();
	if (t && acts_granted(t, &wish, &id)) {
		bool taken = CALL(ttylock_take_terminal, t, id) == 0;
		kill(others[2], SIGSTOP);
		await_state(others[2], 'T');
		if (taken)
			CALL(ttylock_give_terminal, t);
		acts_released(t, id);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		end_child(others[i]);
	acts_closed(t);
}

static void set_foreground(pid_t group)
{
	signal(SIGTTOU, SIG_IGN);
	if (tcsetpgrp(stage->tty, group) < 0)
		acts_fault("the foreground cannot be set");
	signal(SIGTTOU, SIG_DFL);
}

/* It cannot leave its group for one of its own number. */
static void act_leader(void)
{
	struct ttylock_wish wish = {.text = "leads its group"};
	pid_t home = getpgrp();
	uint64_t id;

	setpgid(0, 0);
	set_foreground(getpid());
	struct ttylock *t = acts_opened(stage->tty);
	if (t && acts_granted(t, &wish, &id)) {
		take_and_give(t, id);
		acts_released(t, id);
	}
	acts_closed(t);
	setpgid(0, home);
	set_foreground(home);
}

static pid_t stopped_one;

/* Dies with the terminal; in its group, which is in front, there is somebody still. */
static void die_with_terminal(void)
{
	struct ttylock_wish wish = {.text = "dies with it"};
	struct handover saved = {.has_termios = true, .previous = getpgrp()};
	uint8_t bytes[HANDOVER_SAVED_MAX];
	struct ttylock *t;
	uint64_t id;

	tcgetattr(stage->tty, &saved.termios);
	if (ttylock_open(&t, stage->tty, 0) < 0 || ttylock_acquire(t, &wish, 5 * SECOND, &id) < 0 ||
	    ttylock_take_terminal(t, id) < 0)
		_exit(1);
	child(idle);
	saved.group = getpgrp();
	saved.readers.stopped[saved.readers.stopped_count++] = stopped_one;
	lock_save(t, id, bytes, handover_save(&saved, bytes));
	ttylock_dispatch(t, 0);
	kill(getpid(), SIGKILL);
}

static void act_repair(void)
{
	struct ttylock_wish wish = {.text = "after a dead holder"};
	uint64_t id;

	twist_naps(20); /* the dead one's group is waited for */
	stopped_one = child(idle);
	kill(stopped_one, SIGSTOP);
	await_state(stopped_one, 'T');
	pid_t holder = child(die_with_terminal);
	waitpid(holder, NULL, 0);
	struct ttylock *t = acts_opened(stage->tty);
	if (t && acts_granted(t, &wish, &id)) {
		/* Who has not taken it has not mended it either. */
		acts_report->is_left_dirty = !take_and_give(t, id);
		acts_released(t, id);
	}
	end_child(stopped_one);
	acts_closed(t);
}

/* --- Ctrl-C ------------------------------------------------------------------- */

/* Nobody has the terminal: it is the program's, and ends it. */
static void act_interrupted(void)
{
	struct ttylock *t = acts_opened(stage->tty);

	acts_report->may_end_by[SIGINT] = true;
	if (t && CALL(ttylock_shield, t) == 0) {
		inject_arm();
		raise(SIGINT);
		inject_disarm();
	}
	acts_closed(t);
}

/* --- other places ------------------------------------------------------------- */

static void live_in(const char *dir)
{
	char path[PATH_MAX];

	mkdir("own", 0755);
	if (!realpath(dir, path))
		acts_fault("no directory");
	setenv("XDG_RUNTIME_DIR", path, 1);
	unsetenv("TTYLOCK_SOCKET");
}

/* No socket is named: the user's own daemon. */
static void act_home(void)
{
	struct ttylock *t;

	live_in("own");
	setenv("TTYLOCK_TTY", ttyname(stage->tty), 1);
	if (ttylock_open(&t, -1, TTYLOCK_START) == 0)
		ttylock_close(t);
	t = acts_opened(-1);
	if (t)
		acts_closed(t);
}

/* Root at somebody else's terminal starts that one's daemon, if that one may run it. */
static void act_owner(void)
{
	struct ttylock *t;

	if (geteuid() != 0)
		return;
	live_in("own");
	if (fchown(stage->tty, ACTS_OTHER_UID, -1) < 0 || chmod(".", 0755) < 0 ||
	    chown("own", ACTS_OTHER_UID, ACTS_OTHER_UID) < 0)
		acts_fault("nothing can be given away");
	if (CALL(ttylock_open, &t, stage->tty, TTYLOCK_START) == 0)
		acts_closed(t);
	if (fchown(stage->tty, 0, -1) < 0)
		acts_fault("nothing can be taken back");
}

static void act_unaided(void)
{
	unsetenv("TTYLOCK_HELPER");
	CALL(ttylock_crash_handler_install);
	CALL(ttylock_crash_handler_install);
}

/* A terminal of which nobody knows the name. */
static void act_console(void)
{
	struct ttylock_wish wish = {.text = "at a console", .shield = true};
	uint64_t id;

	twist_device((unsigned)makedev(4, 1));
	struct ttylock *t = acts_opened(stage->tty);
	if (t && acts_granted(t, &wish, &id))
		acts_released(t, id);
	acts_closed(t);
}

/* The daemon does not hear us, and nothing more fits into the socket. */
static void act_deaf(void)
{
	struct ttylock *t = acts_opened(stage->tty), *another;
	static const char nothing[1024];

	if (!t)
		return;
	acts_ask(ACTS_SILENCE);
	while (send(t->link->channel.fd, nothing, sizeof(nothing), MSG_NOSIGNAL) > 0)
		;
	twist_polls(20);
	if (CALL(ttylock_open, &another, stage->tty, 0) == 0)
		acts_closed(another);
	twist_polls(1);
	acts_ask(ACTS_SPEECH);
	acts_closed(t);
}

/* What the library has for the command alone. */
static void act_command(void)
{
	uint8_t token[INHERIT_TOKEN] = {0};
	char exe[PATH_MAX];

	inject_arm();
	inherit_setenv(token);
	procfs_exe(getpid(), exe, sizeof(exe));
	inject_disarm();
	unsetenv("TTYLOCK_GRANT");
}

const struct act acts_of_others[] = {
    {"readers", act_readers, false},
    {"leader", act_leader, false},
    {"repair", act_repair, false},
    {"interrupted", act_interrupted, false},
    {"home", act_home, true},
    {"owner", act_owner, true},
    {"unaided", act_unaided, true},
    {"command", act_command, true},
    {"console", act_console, false},
    {"deaf", act_deaf, false},
    {NULL, NULL, false},
};
