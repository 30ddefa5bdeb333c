#include "anchor.h"

#include <errno.h>
#include <string.h>
#include <ttylock.h>

void anchor_run(struct slot *slot, int tty, int terminal)
{
	struct ttylock_wish wish = {.text = "holds throughout"};
	struct ttylock_status status = {0};
	struct ttylock *t;
	uint64_t id;

	int r = ttylock_open(&t, tty, TTYLOCK_START);
	if (r == 0)
		r = ttylock_acquire(t, &wish, 60000, &id);
	if (r < 0)
		board_fail("the anchor: %s", strerror(-r));
	ttylock_get_status(t, id, &status);
	board_enter(terminal, status.id, 0);
	board_state(slot, BOARD_IDLE, terminal);
	for (uint64_t first = status.id;;) {
		r = ttylock_dispatch(t, -1);
		if ((r < 0 && r != -EINTR) || ttylock_get_status(t, id, &status) < 0 ||
		    status.state != TTYLOCK_GRANTED || status.id != first)
			board_fail(
			    "the anchor lost its terminal: %d, state %d", r, (int)status.state);
	}
}
