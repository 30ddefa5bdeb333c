#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <ttylock.h>
#include <unistd.h>

#include "worker.h"

#define LINE_MS 20000
#define SANE	(ICANON | ECHO | ISIG)

struct taker {
	struct slot *slots;
	int number, tty, terminal;
	uint64_t random, serial;
};

/* --- lines ---------------------------------------------------------------------- */

/* One that was typed for a taker who reads right now is for nobody else. */
static void check_stray(const struct slot *slots, const char *line, const char *who)
{
	unsigned long long serial;
	int number;

	if (sscanf(line, "%d.%llu", &number, &serial) != 2 || number < 0)
		return;
	const struct slot *s = &slots[number];
	pid_t pid = s->pid;
	if (__atomic_load_n(&s->reading, __ATOMIC_SEQ_CST) == serial && board_lives(pid))
		board_fail("%s, %d, reads what was typed for %d: %s", who, getpid(), pid, line);
}

/* In whatever mode the line is: byte by byte. */
static bool read_line(int tty, char *line, size_t size, int timeout_ms)
{
	struct pollfd p = {.fd = tty, .events = POLLIN};
	size_t used = 0;

	while (used + 1 < size) {
		if (poll(&p, 1, timeout_ms) <= 0 || read(tty, line + used, 1) != 1)
			return false;
		if (line[used] == '\n' || line[used] == '\r')
			break;
		used++;
	}
	line[used] = '\0';
	return true;
}

static void converse(struct taker *t)
{
	struct slot *s = &t->slots[t->number];
	uint64_t serial = (uint64_t)getpid() << 32 | ++t->serial;
	char line[64], wanted[64];

	snprintf(wanted, sizeof(wanted), "%d.%llu", t->number, (unsigned long long)serial);
	__atomic_store_n(&s->reading, serial, __ATOMIC_SEQ_CST);
	dprintf(t->tty, "?%s\r\n", wanted);
	for (;;) {
		if (!read_line(t->tty, line, sizeof(line), LINE_MS))
			board_fail("the line for %d never came: %s", getpid(), strerror(errno));
		if (!strcmp(line, wanted))
			break;
		check_stray(t->slots, line, "a taker");
	}
	__atomic_store_n(&s->reading, 0, __ATOMIC_SEQ_CST);
	board_count(BOARD_LINES);
}

/* --- a turn ----------------------------------------------------------------------- */

static void check_foreground(const struct taker *t, pid_t wanted, const char *when)
{
	pid_t is = tcgetpgrp(t->tty);
	struct termios now;

	if (is != wanted)
		board_fail("%s, the foreground is %d, not %d", when, is, wanted);
	if (tcgetattr(t->tty, &now) == 0 && (now.c_lflag & SANE) != SANE)
		board_fail("%s, the line's settings are %x", when, now.c_lflag);
}

/* As an editor of lines would; whoever comes next mends it, should we die. */
static void make_raw(int tty)
{
	struct termios t;

	if (tcgetattr(tty, &t) < 0)
		return;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(tty, TCSANOW, &t);
}

static void sit(struct taker *t, struct ttylock *handle, uint64_t id, pid_t group)
{
	int r = ttylock_take_terminal(handle, id);

	if (r < 0)
		board_fail("take: %s", strerror(-r));
	board_count(BOARD_TAKEN);
	check_foreground(t, getpgrp(), "taken");
	if (board_random(&t->random) % 2)
		make_raw(t->tty);
	for (uint64_t n = board_random(&t->random) % 3; n; n--)
		converse(t);
	if (board_random(&t->random) % 32 == 0)
		signal(SIGSEGV, SIG_DFL), raise(SIGSEGV);
	r = ttylock_give_terminal(handle);
	if (r < 0)
		board_fail("give: %s", strerror(-r));
	check_foreground(t, group, "given back");
}

static void take_turn(struct taker *t, struct ttylock *handle, pid_t group)
{
	struct ttylock_wish wish = {.text = "takes the terminal"};
	struct slot *s = &t->slots[t->number];
	struct ttylock_status status = {0};
	uint64_t id;

	board_state(s, BOARD_WAITS, t->terminal);
	int r = ttylock_acquire(handle, &wish, -1, &id);
	if (r < 0) {
		worker_expects(r, "a taker's acquire");
		return;
	}
	ttylock_get_status(handle, id, &status);
	board_state(s, BOARD_HOLDS, t->terminal);
	uint64_t mark = board_enter(t->terminal, status.id, 0);
	sit(t, handle, id, group);
	ttylock_dispatch(handle, 0);
	ttylock_get_status(handle, id, &status);
	if (status.state != TTYLOCK_GRANTED)
		board_fail("a taker's state became %d", (int)status.state);
	board_leave(t->terminal, mark);
	worker_expects(ttylock_release(handle, id), "release");
}

__attribute__((noreturn)) static void take_turns(struct taker *t)
{
	struct slot *s = &t->slots[t->number];
	struct ttylock *handle = NULL;
	pid_t group = getpgrp();

	for (;;) {
		board_state(s, BOARD_IDLE, t->terminal);
		while (__atomic_load_n(&board->quiet, __ATOMIC_SEQ_CST)) {
			if (handle || ttylock_open(&handle, t->tty, TTYLOCK_START) == 0)
				ttylock_dispatch(handle, 0);
			worker_pause(10000);
		}
		board_state(s, BOARD_BUSY, t->terminal);
		if (!handle && ttylock_open(&handle, t->tty, TTYLOCK_START) < 0)
			handle = NULL;
		if (handle)
			take_turn(t, handle, group);
		if (board_random(&t->random) % 16 == 0) {
			ttylock_close(handle);
			handle = NULL;
		}
	}
}

/* --- the others ------------------------------------------------------------------- */

/* A program in front that reads its terminal: held while somebody has that. */
__attribute__((noreturn)) static void read_idly(struct taker *t)
{
	char line[64];

	for (;;) {
		ssize_t n = read(t->tty, line, sizeof(line) - 1);
		if (n < 0 && errno != EINTR && errno != EIO)
			_exit(0);
		if (n > 0) {
			line[n] = '\0';
			check_stray(t->slots, line, "the program in front");
		}
	}
}

static void start(struct taker *t, int takers)
{
	pid_t leader = getpid();

	board_random(&t->random);
	pid_t pid = fork();
	if (pid > 0) {
		t->slots[t->number].pid = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != leader)
		_exit(0);
	if (t->number == takers)
		read_idly(t);
	take_turns(t);
}

__attribute__((noreturn)) static void lead(struct taker *all, int takers)
{
	for (int i = 0; i <= takers; i++)
		start(&all[i], takers);
	for (;;) {
		pid_t pid = waitpid(-1, NULL, 0);
		for (int i = 0; i <= takers; i++) {
			if (pid <= 0 || all[i].slots[i].pid != pid)
				continue;
			all[i].slots[i].reading = 0;
			start(&all[i], takers);
		}
	}
}

pid_t stage_open(struct slot *slots, int takers, uint64_t random, int terminal, int *master)
{
	struct taker all[16];
	int tty;

	if (openpty(master, &tty, NULL, NULL, NULL) < 0)
		board_fail("openpty: %s", strerror(errno));
	fcntl(*master, F_SETFL, O_NONBLOCK);
	fcntl(*master, F_SETFD, FD_CLOEXEC);
	for (int i = 0; i <= takers; i++)
		all[i] = (struct taker){.slots = slots,
		    .number = i,
		    .tty = tty,
		    .terminal = terminal,
		    .random = random + (uint64_t)i * 7919};
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(*master);
		setsid();
		ioctl(tty, TIOCSCTTY, 0);
		lead(all, takers);
	}
	close(tty);
	return pid;
}

void stage_type(int master)
{
	static char line[64];
	static size_t used;
	char byte;

	while (read(master, &byte, 1) == 1) {
		if (byte == '?')
			used = 0;
		if (byte != '\n' && byte != '\r') {
			used = used + 1 < sizeof(line) ? used + 1 : 0;
			line[used ? used - 1 : 0] = byte;
			continue;
		}
		line[used] = '\0';
		if (used > 1 && line[0] == '?') {
			line[used] = '\n';
			if (write(master, line + 1, used) < 0)
				perror("the typist");
		}
		used = 0;
	}
}
