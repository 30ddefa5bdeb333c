#include "harm.h"

#include <signal.h>

#include "keeper.h"

static uint64_t draw(struct harm *h, uint64_t below)
{
	return board_random(&h->random) % below;
}

static void harm_process(struct harm *h, int64_t now)
{
	int i = (int)draw(h, (uint64_t)h->processes);
	pid_t pid = board->slots[i].pid;

	if (pid <= 0)
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

static void harm_daemon(struct harm *h, int64_t now)
{
	pid_t pid = keeper_pid();

	if (pid <= 0)
		return;
	switch (draw(h, 12)) {
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
		/* Few live until it is over for those that have not come back. */
		h->daemon_at = now + (int64_t)draw(h, draw(h, 8) ? draw(h, 32) ? 250 : 4000 : 10);
	}
}

void harm_end(struct harm *h)
{
	if (h->hung.pid)
		h->hung.until = 0;
	look_after_hung(h, board_ms());
	continue_stopped(h, INT64_MAX);
}
