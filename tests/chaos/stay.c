#include "stay.h"

#include <errno.h>
#include <string.h>

#include "expect.h"
#include "orders.h"
#include "worker.h"

uint64_t worker_draw(struct worker *w, uint64_t below)
{
	return board_random(&w->random) % below;
}

static struct ttylock *open_handle(struct worker *w, int terminal)
{
	struct ttylock *t = NULL;

	int r = ttylock_open(&t, w->ttys[terminal], TTYLOCK_START);
	if (r < 0) {
		board_note("open: %s", strerror(-r));
		board_count(BOARD_AWAY);
	}
	return t;
}

struct ttylock *worker_handle(struct worker *w, int terminal)
{
	if (!w->handles[terminal])
		w->handles[terminal] = open_handle(w, terminal);
	return w->handles[terminal];
}

void worker_forget(struct worker *w, int terminal)
{
	ttylock_close(w->handles[terminal]);
	w->handles[terminal] = NULL;
}

void stay_enter(struct worker *w, struct stay *s, uint64_t under)
{
	struct ttylock_status status = {0};

	int r = ttylock_get_status(s->handle, s->id, &status);
	if (r < 0 || !status.id)
		board_fail("granted, but the status is %d (%d)", (int)status.state, r);
	s->mark = 0;
	if (status.state == TTYLOCK_GRANTED)
		s->mark = board_enter(s->terminal, status.id, under);
	else
		expect_ousting(&status, "one who was just granted it");
	board_state(w->slot, BOARD_HOLDS, s->terminal);
}

void stay_use(struct worker *w)
{
	static const unsigned us[] = {0, 0, 100, 1000, 5000, 20000};

	/* Now and then so long that somebody may lose patience with it. */
	worker_pause(worker_draw(w, 32) ? us[worker_draw(w, sizeof(us) / sizeof(us[0]))] : 150000);
	if (worker_draw(w, 2))
		order_await();
}

void stay_leave(struct worker *w, struct stay *s)
{
	if (s->mark) {
		expect_held(s->handle, s->id, "a holder");
		board_leave(s->terminal, s->mark);
	}
	board_state(w->slot, BOARD_BUSY, s->terminal);
}

void stay_release(struct stay *s)
{
	int r = ttylock_release(s->handle, s->id);

	if (r == -ENOENT)
		board_fail("release: no such request");
	expect_result(r, "release");
}

bool stay_acquire(struct worker *w, struct stay *s, int terminal, bool nonblock, int timeout_ms)
{
	struct ttylock_wish wish = {.text = "chaos", .nonblock = nonblock};

	*s = (struct stay){.handle = worker_handle(w, terminal), .terminal = terminal};
	if (!s->handle)
		return false;
	board_state(w->slot, BOARD_WAITS, terminal);
	uint64_t skips = orders_skips();
	int r = ttylock_acquire(s->handle, &wish, timeout_ms, &s->id);
	if (r < 0) {
		if (r == -ECANCELED)
			expect_cancel(skips);
		else
			expect_result(r, "acquire");
		board_state(w->slot, BOARD_BUSY, terminal);
		return false;
	}
	return true;
}

int worker_any(struct worker *w)
{
	return (int)worker_draw(w, (uint64_t)w->count);
}
