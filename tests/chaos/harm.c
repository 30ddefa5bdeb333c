#include "harm.h"

#include <signal.h>

#include "keeper.h"

/* More than the daemon's grace. */
#define AWAY_MS 2200

static uint64_t draw(struct harm *h, uint64_t below)
{
	return board_random(&h->random) % below;
}

static void harm_process(struct harm *h, int64_t now)
{
	int i = (int)draw(h, (uint64_t)h->processes);
	pid_t pid = board->slots[i].pid;

	if (pid <= 0 || i == h->away)
		return;
	if (draw(h, 3) == 0) {
		if (kill(pid, SIGSTOP) == 0)
			h->stops++;
		h->continue_at[i] = now + (int64_t)draw(h, draw(h, 16) ? 150 : 3000);
		return;
	}
	board_note("kills %d, state %d", pid, board->slots[i].state);
	if (kill(pid, SIGKILL) == 0)
		h->kills++;
}

static void continue_stopped(struct harm *h, int64_t now)
{
	for (int i = 0; i < h->processes; i++) {
		if (!h->continue_at[i] || now < h->continue_at[i])
			continue;
		h->continue_at[i] = 0;
		h->away = i == h->away ? -1 : h->away;
		kill(board->slots[i].pid, SIGCONT);
	}
}

static void kill_daemon(struct harm *h, pid_t pid)
{
	board_note("kills the daemon %d", pid);
	if (kill(pid, SIGKILL) < 0)
		return;
	h->kills++;
	h->daemons++;
	if (draw(h, 2)) /* else somebody else will do so */
		keeper_start();
}

/* A holder stands still when its daemon dies, and does not come back until the next one
 * has long stopped to wait for others. */
static void keep_away(struct harm *h, int64_t now)
{
	int first = (int)draw(h, (uint64_t)h->processes), i = first;

	do {
		struct slot *s = &board->slots[i];
		if (s->state == BOARD_HOLDS && kill(s->pid, SIGSTOP) == 0) {
			board_note("keeps %d away", s->pid);
			h->stops++;
			h->away = i;
			h->continue_at[i] = now + AWAY_MS;
			h->spared_until = now + AWAY_MS + 100;
			return;
		}
		i = (i + 1) % h->processes;
	} while (i != first);
}

static void harm_daemon(struct harm *h, int64_t now)
{
	pid_t pid = keeper_pid();

	if (pid <= 0)
		return;
	if (draw(h, 32) == 0)
		keep_away(h, now);
	switch (h->away >= 0 ? 12 : draw(h, 12)) {
	case 0:
		board_note("ends the daemon %d", pid);
		h->terms += kill(pid, SIGTERM) == 0;
		break;
	case 1:
		board_note("stops the daemon %d", pid);
		h->hangs += kill(pid, SIGSTOP) == 0;
		h->hung.pid = pid;
		h->hung.until = now + (int64_t)draw(h, draw(h, 8) ? 200 : 2500);
		h->hung.kill = draw(h, 2);
		break;
	default:
		kill_daemon(h, pid);
	}
}

static void look_after_hung(struct harm *h, int64_t now)
{
	if (!h->hung.pid || now < h->hung.until)
		return;
	if (h->hung.kill)
		kill_daemon(h, h->hung.pid);
	else
		kill(h->hung.pid, SIGCONT);
	h->hung.pid = 0;
}

void harm_do(struct harm *h, int64_t now)
{
	continue_stopped(h, now);
	look_after_hung(h, now);
	if (now >= h->kill_at) {
		harm_process(h, now);
		h->kill_at = now + (int64_t)draw(h, 24);
	}
	if (now >= h->daemon_at && !h->hung.pid) {
		harm_daemon(h, now);
		h->daemon_at = now + (int64_t)draw(h, draw(h, 8) ? 250 : 10);
		if (h->daemon_at < h->spared_until)
			h->daemon_at = h->spared_until;
	}
}

void harm_end(struct harm *h)
{
	if (h->hung.pid)
		h->hung.until = 0;
	look_after_hung(h, board_ms());
	continue_stopped(h, INT64_MAX);
}
