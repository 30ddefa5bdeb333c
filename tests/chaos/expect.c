#include "expect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "orders.h"

bool expect_result(int r, const char *what)
{
	switch (r) {
	case 0:
		return true;
	case -EBUSY:
		board_count(BOARD_BUSY_COUNT);
		return true;
	case -ETIMEDOUT:
		board_count(BOARD_TIMEOUTS);
		return true;
	case -EDEADLK:
		board_count(BOARD_DEADLOCKS);
		return true;
	case -ECONNRESET:
		board_note("%s: %s", what, strerror(-r));
		board_count(BOARD_AWAY);
		return true;
	default:
		board_fail("%s: %s", what, strerror(-r));
	}
}

void expect_cancel(uint64_t skips_before)
{
	if (!orders_explain_cancel(skips_before))
		board_fail("a request was cancelled that nobody was to cancel");
}

void expect_ousting(const struct ttylock_status *status, const char *who)
{
	if (status->state != TTYLOCK_RELEASED || !order_is_noted(status->id, ORDER_FORCE))
		board_fail("request %llu: %s has state %d", (unsigned long long)status->id, who,
		    (int)status->state);
	board_count(BOARD_OUSTED);
}

/* Where somebody was told already that it was released, its holder is told, too, over
 * any number of daemons. */
bool expect_held(struct ttylock *handle, uint64_t id, const char *who)
{
	struct ttylock_status status = {0};
	int64_t end = board_ms() + board->patience_ms / 3;
	bool due;

	do {
		ttylock_get_status(handle, id, &status);
		due = order_is_noted(status.id, ORDER_FORCED);
		int r = ttylock_dispatch(handle, due && status.state == TTYLOCK_GRANTED ? 50 : 0);
		if (r == -ECONNRESET)
			expect_result(r, "dispatch of a holder");
		else if (r < 0 && r != -EINTR)
			board_fail("dispatch of %s: %s", who, strerror(-r));
		r = ttylock_get_status(handle, id, &status);
		if (r < 0)
			board_fail("the status of %s: %s", who, strerror(-r));
	} while (due && status.state == TTYLOCK_GRANTED && board_ms() < end);
	if (due && status.state == TTYLOCK_GRANTED)
		board_fail("request %llu: %s never heard that it was released by force",
		    (unsigned long long)status.id, who);
	if (status.state == TTYLOCK_GRANTED)
		return true;
	expect_ousting(&status, who);
	return false;
}
