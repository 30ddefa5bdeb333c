#include "past.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ledger.h"
#include "daemon/policy.h"
#include "twist.h"

/* How long who is away is waited for, and some. */
#define GRACE_MS 15000

static struct past {
	int as_it_was, other; /* memfds */
	uint64_t terminals[PAST_TERMINALS];
	uint8_t holder[16], waiter[16]; /* tokens */
	pid_t absent;
} pasts[2], *past = pasts;

/* --- copies ---------------------------------------------------------------------------- */

/* Only what there is of it: it is mostly holes. */
static void copy(int to, int from)
{
	static char bytes[65536];
	off_t at = 0, end, size = lseek(from, 0, SEEK_END);

	if (ftruncate(to, size) < 0)
		abort();
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		end = lseek(from, at, SEEK_HOLE);
		while (at < end) {
			size_t n =
			    end - at < (off_t)sizeof(bytes) ? (size_t)(end - at) : sizeof(bytes);
			ssize_t got = pread(from, bytes, n, at);

			if (got <= 0 || pwrite(to, bytes, (size_t)got, at) != got)
				abort();
			at += got;
		}
	}
}

static int memory(int from)
{
	int fd = memfd_create("past", MFD_CLOEXEC);

	copy(fd, from);
	return fd;
}

int past_memory(bool other)
{
	past = pasts;
	return memory(other ? past->other : past->as_it_was);
}

static void lay(const char *path, int from)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	copy(fd, from);
	close(fd);
}

void past_lay(void)
{
	past = pasts;
	lay(stage_path(".ledger"), past->as_it_was);
}

void past_lay_old(void)
{
	twist_kernel();
	past = &pasts[1];
	lay(stage_path(".ledger"), past->as_it_was);
}

void past_lay_other(void)
{
	past = pasts;
	lay(stage_path(".ledger"), past->other);
}

void past_lay_in_directory(void)
{
	past = pasts;
	lay(stage_beside("ledger"), past->as_it_was);
}

void past_lay_unreadable(void)
{
	past_lay();
	int fd = open(stage_path(".ledger"), O_WRONLY | O_CLOEXEC);
	if (pwrite(fd, "nonsense", 8, 0) != 8)
		abort();
	close(fd);
}

const uint64_t *past_terminals(void)
{
	return past->terminals;
}

/* --- making it ----------------------------------------------------------------------------- */

struct wish {
	int terminal;
	const uint8_t *under;
	struct players own;
};

static void lock(void *arg)
{
	struct wish *w = arg;

	players_begin(&w->own);
	struct player *p = player_connect(&w->own, stage.socket);
	player_open(p, 0, stage.tty[w->terminal]);
	int n = player_lock(p, 1, 0, w->under);
	players_sync(&w->own);
	player_save(p, n);
	players_sync(&w->own);
}

static pid_t other(int terminal, const uint8_t *under)
{
	static struct wish w;

	w = (struct wish){.terminal = terminal, .under = under};
	return stage_other(lock, &w);
}

static void play_before(struct players *all)
{
	int master, slave;
	struct player *p[3];

	for (int i = 0; i < 3; i++) {
		p[i] = player_connect(all, stage.socket);
		player_open(p[i], 0, stage.tty[0]);
	}
	player_lock(p[0], 1, 0, NULL);
	players_sync(all);
	player_save(p[0], 0);
	past->absent = other(0, NULL);
	player_lock(p[1], 2, 0, NULL);
	players_sync(all);
	memcpy(past->holder, p[0]->requests[0].token, 16);
	memcpy(past->waiter, p[1]->requests[0].token, 16);
	stage_kill(other(0, past->holder));
	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		abort();
	player_open(p[2], 2, slave);
	player_lock(p[2], 3, 2, NULL);
	players_sync(all);
	/* The other end stays open: the number is nobody else's meanwhile. */
	close(master);
}

static void read_ledger(void)
{
	struct ledger *l =
	    ledger_adopt(memory(past->as_it_was), POLICY_REQUESTS_MAX, POLICY_TERMINALS_MAX);
	struct ledger_terminal t;
	int n = 0;

	if (!l)
		abort();
	for (uint32_t i = 0; i < ledger_terminals(l); i++)
		if (ledger_get_terminal(l, i, &t) && n < PAST_TERMINALS - 1)
			past->terminals[n++] = t.id;
	ledger_free(l);
	l = ledger_adopt(memory(past->as_it_was), 1024, 64);
	if (!l || !ledger_was_converted(l))
		abort();
	past->other = memory(ledger_fd(l));
	ledger_free(l);
}

static void make(void)
{
	static const struct scene alone = {.name = "past"};
	static struct players all;
	int ready;

	twist_skip(0);
	pid_t daemon = stage_daemon(&alone, false, &ready);

	if (!stage_serves(&alone, daemon, ready))
		abort();
	close(ready);
	players_begin(&all);
	play_before(&all);
	pid_t dead = other(1, NULL);
	stage_kill(daemon);
	stage_kill(dead);
	players_end(&all);
	if (all.fault)
		abort();
	int file = open(stage_path(".ledger"), O_RDONLY | O_CLOEXEC);
	past->as_it_was = memory(file);
	close(file);
	unlink(stage_path(".ledger"));
	read_ledger();
}

void past_make(void)
{
	make();
	past = &pasts[1];
	twist_kernel();
	make();
	twist_off();
}

void past_end(void)
{
	for (int i = 0; i < 2; i++) {
		stage_kill(pasts[i].absent);
		close(pasts[i].as_it_was);
		close(pasts[i].other);
	}
}

/* --- coming back ----------------------------------------------------------------------------- */

/* The one that the failure hits may be this one: then once more. */
static struct player *come_back(struct players *all, const uint8_t *token, ttylock_State state)
{
	for (int tries = 0; tries < 3; tries++) {
		struct player *p = player_connect(all, stage.socket);
		if (!p)
			return NULL;
		player_open(p, 0, stage.tty[0]);
		player_reclaim(p, 0, token);
		players_sync(all);
		if (p->fd >= 0 && p->requests[0].state == state)
			return p;
		player_close(p);
	}
	if (!all->fault)
		all->fault = "one that came back has lost its request";
	return NULL;
}

static void until_granted(struct players *all, struct player *p)
{
	for (int i = 0; i < 1000 && !all->fault; i++) {
		if (p->fd < 0 || p->requests[0].state == ttylock_State_STATE_GRANTED)
			return;
		twist_skip(1000);
		players_sync(all);
	}
	all->fault = all->fault ? all->fault : "one that came back is never served";
}

void play_past(struct players *all, pid_t daemon)
{
	(void)daemon;
	struct player *stranger = player_connect(all, stage.socket);

	if (!stranger)
		return;
	player_open(stranger, 0, stage.tty[0]);
	player_open(stranger, 1, stage.tty[1]);
	player_lock(stranger, 50, 0, NULL);
	players_sync(all);
	if (stranger->requests[0].state == ttylock_State_STATE_GRANTED) {
		all->fault = "granted, though its holder lives";
		return;
	}
	struct player *holder = come_back(all, past->holder, ttylock_State_STATE_GRANTED);
	struct player *waiter = come_back(all, past->waiter, ttylock_State_STATE_QUEUED);
	player_lock(stranger, 51, 1, NULL);
	players_sync(all);
	if (holder && waiter) {
		player_release(holder, 0);
		until_granted(all, waiter);
	}
	/* Whatever else came of it, nobody is waited for any more. */
	twist_skip(GRACE_MS);
	players_sync(all);
	twist_skip(GRACE_MS);
	players_sync(all);
}
