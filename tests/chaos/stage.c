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
#include <termios.h>
#include <ttylock.h>
#include <unistd.h>

#include "expect.h"
#include "orders.h"
#include "parts.h"
#include "worker.h"

#define LINE_MS	 20000
#define AGAIN_MS 500
#define SANE	 (ICANON | ECHO | ISIG)

struct taker {
	struct slot *slots;
	int number, takers, tty, terminal;
	uint64_t random, serial;
};

/* Its time at the terminal, and the line that it waits for. */
struct sitting {
	struct ttylock *handle;
	uint64_t id;
	char wanted[64];
};

/* The last one that would have stopped us. */
static volatile sig_atomic_t stop;

/* --- force ---------------------------------------------------------------------- */

/* Whether that one has been released by force, and may still be at it. */
static bool is_ousted(const struct slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_SEQ_CST) == BOARD_HOLDS &&
	       order_is_noted(s->id, ORDER_FORCE) && board_lives(s->pid);
}

/* Who is released by force in the very moment in which it takes the terminal, or while no
 * daemon could tell it so, takes it from the next one; what that leaves behind is found
 * until it has been well once. */
static bool is_innocent(const struct taker *t)
{
	for (int i = 0; i < t->takers; i++)
		if (is_ousted(&t->slots[i]))
			return false;
	return orders_stage() == __atomic_load_n(&board->calm, __ATOMIC_SEQ_CST);
}

static void note_calm(const struct taker *t, uint64_t forces)
{
	for (int i = 0; i < t->takers; i++)
		if (is_ousted(&t->slots[i]))
			return;
	__atomic_store_n(&board->calm, forces, __ATOMIC_SEQ_CST);
}

/* As a person would. */
static void mend(const struct taker *t, pid_t front)
{
	struct termios now;
	sigset_t stops, old;

	board_count(BOARD_EXCUSED);
	sigemptyset(&stops);
	sigaddset(&stops, SIGTTOU);
	sigprocmask(SIG_BLOCK, &stops, &old);
	tcsetpgrp(t->tty, front);
	if (tcgetattr(t->tty, &now) == 0) {
		now.c_lflag |= SANE;
		tcsetattr(t->tty, TCSANOW, &now);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void on_stop(int sig)
{
	stop = sig;
}

/* --- lines ---------------------------------------------------------------------- */

/* One that was typed for a taker who reads right now, and by right, is for nobody
 * else. */
static void check_stray(const struct taker *t, const char *line, const char *who)
{
	unsigned long long serial;
	int number;

	if (sscanf(line, "%d.%llu", &number, &serial) != 2 || number < 0)
		return;
	const struct slot *s = &t->slots[number];
	pid_t pid = s->pid;
	if (__atomic_load_n(&s->reading, __ATOMIC_SEQ_CST) == serial && board_lives(pid) &&
	    is_innocent(t))
		board_fail("%s, %d, reads what was typed for %d: %s", who, getpid(), pid, line);
}

/* It was stopped, or its line did not come. */
static void complain(const struct taker *t, const char *wanted)
{
	if (stop && is_innocent(t))
		board_fail(
		    "the taker %d would have been stopped by signal %d", getpid(), (int)stop);
	stop = 0;
	if (is_innocent(t))
		return;
	mend(t, getpgrp());
	dprintf(t->tty, "?%s\r\n", wanted);
}

/* A byte of a line. Whoever sits at a terminal heeds the daemon, too: false, the
 * terminal is its own no more. */
static bool read_byte(const struct taker *t, const struct sitting *s, char *out)
{
	int64_t end = board_ms() + LINE_MS;

	while (board_ms() < end) {
		struct pollfd p[] = {{.fd = t->tty, .events = POLLIN},
		    {.fd = ttylock_fd(s->handle), .events = POLLIN}};
		int n = poll(p, 2, AGAIN_MS);
		if (p[1].revents && !expect_held(s->handle, s->id, "a taker that reads"))
			return false;
		if (p[0].revents && read(t->tty, out, 1) == 1)
			return true;
		if (n == 0 || stop)
			complain(t, s->wanted);
	}
	board_fail("the line for %d never came: %s", getpid(), strerror(errno));
}

/* In whatever mode the line is: byte by byte. */
static bool read_line(const struct taker *t, const struct sitting *s, char *line, size_t size)
{
	size_t used = 0;

	while (used + 1 < size) {
		if (!read_byte(t, s, line + used))
			return false;
		if (line[used] == '\n' || line[used] == '\r')
			break;
		used++;
	}
	line[used] = '\0';
	return true;
}

/* False: it was released by force meanwhile. */
static bool converse(struct taker *t, struct sitting *s)
{
	struct slot *slot = &t->slots[t->number];
	uint64_t serial = (uint64_t)getpid() << 32 | ++t->serial;
	char line[64] = "";
	bool holds = true;

	snprintf(s->wanted, sizeof(s->wanted), "%d.%llu", t->number, (unsigned long long)serial);
	__atomic_store_n(&slot->reading, serial, __ATOMIC_SEQ_CST);
	dprintf(t->tty, "?%s\r\n", s->wanted);
	while (holds && strcmp(line, s->wanted) != 0) {
		holds = read_line(t, s, line, sizeof(line));
		if (holds && strcmp(line, s->wanted) != 0)
			check_stray(t, line, "a taker");
	}
	__atomic_store_n(&slot->reading, 0, __ATOMIC_SEQ_CST);
	if (holds)
		board_count(BOARD_LINES);
	return holds;
}

/* --- a turn ----------------------------------------------------------------------- */

static void check_terminal(const struct taker *t, pid_t wanted, const char *when, bool at_end)
{
	uint64_t forces = orders_stage();
	struct termios now = {.c_lflag = SANE};

	pid_t is = tcgetpgrp(t->tty);
	tcgetattr(t->tty, &now);
	if (is == wanted && (now.c_lflag & SANE) == SANE) {
		if (at_end)
			note_calm(t, forces);
		return;
	}
	if (!is_innocent(t))
		mend(t, wanted);
	else if (is != wanted)
		board_fail("%s, the foreground is %d, not %d", when, is, wanted);
	else
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
	struct sitting s = {.handle = handle, .id = id};
	bool holds = true;

	int r = ttylock_take_terminal(handle, id);
	if (r == -ENOENT && !expect_held(handle, id, "a taker at its turn"))
		return;
	if (r < 0)
		board_fail("take: %s", strerror(-r));
	board_count(BOARD_TAKEN);
	check_terminal(t, getpgrp(), "taken", false);
	if (board_random(&t->random) % 2)
		make_raw(t->tty);
	for (uint64_t n = board_random(&t->random) % 3; n && holds; n--)
		holds = converse(t, &s);
	if (board_random(&t->random) % 32 == 0)
		worker_crash();
	r = ttylock_give_terminal(handle);
	if (r < 0)
		board_fail("give: %s", strerror(-r));
	check_terminal(t, group, "given back", true);
}

static void take_turn(struct taker *t, struct ttylock *handle, pid_t group)
{
	struct ttylock_wish wish = {.text = STAGE_TEXT};
	struct slot *s = &t->slots[t->number];
	struct ttylock_status status = {0};
	uint64_t id, skips = orders_skips(), mark = 0;

	board_state(s, BOARD_WAITS, t->terminal);
	int r = ttylock_acquire(handle, &wish, -1, &id);
	if (r == -ECANCELED)
		expect_cancel(skips);
	else if (r < 0)
		expect_result(r, "a taker's acquire");
	if (r < 0)
		return;
	ttylock_get_status(handle, id, &status);
	s->id = status.id;
	board_state(s, BOARD_HOLDS, t->terminal);
	if (status.state == TTYLOCK_GRANTED) {
		mark = board_enter(t->terminal, status.id, 0);
		sit(t, handle, id, group);
		expect_held(handle, id, "a taker");
		board_leave(t->terminal, mark);
	} else {
		expect_ousting(&status, "a taker that was just granted it");
	}
	expect_result(ttylock_release(handle, id), "release");
}

__attribute__((noreturn)) static void take_turns(struct taker *t)
{
	struct slot *s = &t->slots[t->number];
	struct ttylock *handle = NULL;
	pid_t group = getpgrp();

	sigaction(SIGTTIN, &(struct sigaction){.sa_handler = on_stop}, NULL);
	sigaction(SIGTTOU, &(struct sigaction){.sa_handler = on_stop}, NULL);

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
			check_stray(t, line, "the program in front");
		}
	}
}

static void start(struct taker *t, int takers)
{
	pid_t leader = getpid();

	board_random(&t->random);
	pid_t pid = fork();
	if (pid < 0)
		board_fail("fork: %s", strerror(errno));
	if (pid > 0) {
		t->slots[t->number].pid = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != leader)
		_exit(0);
	part_begin(t->number == takers ? "the program in front" : "taker %d", t->number);
	if (t->number == takers)
		read_idly(t);
	take_turns(t);
}

__attribute__((noreturn)) static void lead(struct taker *all, int takers)
{
	for (int i = 0; i <= takers; i++)
		start(&all[i], takers);
	for (;;) {
		struct part_end e;
		if (!part_await(0, &e))
			board_fail("no taker is left");
		if (!e.fair)
			board_fail("%s", e.what);
		for (int i = 0; i <= takers; i++) {
			if (all[i].slots[i].pid != e.pid)
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
		    .takers = takers,
		    .tty = tty,
		    .terminal = terminal,
		    .random = random + (uint64_t)i * 7919};
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(*master);
		part_begin("the stage's leader");
		setsid();
		ioctl(tty, TIOCSCTTY, 0);
		lead(all, takers);
	}
	close(tty);
	return pid;
}
