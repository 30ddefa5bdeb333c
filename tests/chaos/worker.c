#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <ttylock.h>
#include <unistd.h>

#include "expect.h"
#include "orders.h"
#include "parts.h"
#include "stay.h"

void worker_pause(unsigned us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&t, NULL);
}

/* --- one turn ----------------------------------------------------------------- */

static void take_turn(struct worker *w, int terminal, bool nonblock, int timeout_ms)
{
	struct stay s;

	if (!stay_acquire(w, &s, terminal, nonblock, timeout_ms))
		return;
	stay_enter(w, &s, 0);
	stay_use(w);
	stay_leave(w, &s);
	stay_release(&s);
}

static void wait_for_turn(struct worker *w)
{
	take_turn(w, worker_any(w), false, -1);
}

static void wait_a_little(struct worker *w)
{
	take_turn(w, worker_any(w), false, (int)worker_draw(w, 300));
}

static void try_turn(struct worker *w)
{
	take_turn(w, worker_any(w), true, -1);
}

/* Takes the second one while it has the first: who waits in a circle is told. */
static void take_two(struct worker *w)
{
	int one = worker_any(w),
	    other = (one + 1 + (int)worker_draw(w, (uint64_t)w->count - 1)) % w->count;
	struct stay s, inner;

	if (!stay_acquire(w, &s, one, false, -1))
		return;
	stay_enter(w, &s, 0);
	if (stay_acquire(w, &inner, other, false, worker_draw(w, 2) ? -1 : 100)) {
		stay_enter(w, &inner, 0);
		stay_use(w);
		stay_leave(w, &inner);
		stay_release(&inner);
	}
	stay_leave(w, &s);
	stay_release(&s);
}

/* --- asynchronous ------------------------------------------------------------- */

static bool ask(struct worker *w, struct stay *s)
{
	struct ttylock_wish wish = {.text = "asynchronous"};

	s->terminal = worker_any(w);
	s->handle = worker_handle(w, s->terminal);
	if (!s->handle)
		return false;
	int r = ttylock_acquire_async(s->handle, &wish, &s->id);
	if (r == -ECONNRESET)
		return expect_result(r, "acquire_async") && false;
	if (r < 0)
		board_fail("acquire_async: %s", strerror(-r));
	return true;
}

static enum ttylock_state look(struct stay *s, int timeout_ms)
{
	struct ttylock_status status = {.state = TTYLOCK_QUEUED};

	int r = ttylock_dispatch(s->handle, timeout_ms);
	if (r < 0 && r != -EINTR && r != -ECONNRESET)
		board_fail("dispatch: %s", strerror(-r));
	if (ttylock_get_status(s->handle, s->id, &status) < 0)
		board_fail("a request that nobody ended is gone");
	return status.state;
}

/* It waits no more, and was not granted it. */
static void give_up(struct stay *s, enum ttylock_state state, uint64_t skips)
{
	struct ttylock_status status;

	board_note("asynchronous: its state is %d", (int)state);
	if (state == TTYLOCK_CANCELLED)
		expect_cancel(skips);
	else if (state == TTYLOCK_RELEASED && ttylock_get_status(s->handle, s->id, &status) == 0)
		expect_ousting(&status, "one who was about to hear that it was granted it");
	else if (state == TTYLOCK_LOST || state == TTYLOCK_REFUSED)
		board_count(BOARD_AWAY);
	else
		board_fail("a request that waited has state %d", (int)state);
	ttylock_cancel(s->handle, s->id);
}

/* How it ends is chance: its turn, a change of mind, or its handle's end. */
static void dispatch_turn(struct worker *w)
{
	enum ttylock_state state = TTYLOCK_QUEUED;
	uint64_t skips = orders_skips();
	struct stay s;

	if (!ask(w, &s))
		return;
	board_state(w->slot, BOARD_WAITS, s.terminal);
	for (uint64_t looks = worker_draw(w, 4) ? UINT64_MAX : worker_draw(w, 5);
	     looks && state == TTYLOCK_QUEUED; looks--)
		state = look(&s, worker_draw(w, 2) ? (int)worker_draw(w, 20) : 100);
	if (state != TTYLOCK_QUEUED && state != TTYLOCK_GRANTED) {
		give_up(&s, state, skips);
		return;
	}
	if (state == TTYLOCK_GRANTED) {
		stay_enter(w, &s, 0);
		stay_use(w);
		stay_leave(w, &s);
	}
	board_state(w->slot, BOARD_BUSY, s.terminal);
	if (worker_draw(w, 4) == 0) {
		worker_forget(w, s.terminal);
	} else if (state == TTYLOCK_GRANTED) {
		stay_release(&s);
	} else {
		board_count(BOARD_CANCELS);
		expect_result(ttylock_cancel(s.handle, s.id), "cancel");
	}
}

/* --- ends ----------------------------------------------------------------------- */

void worker_crash(void)
{
	struct rlimit none = {0, 0};

	board_count(BOARD_CRASHES);
	part_crashes();
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	_exit(1);
}

__attribute__((noreturn)) static void end(struct worker *w)
{
	if (worker_draw(w, 2))
		worker_crash();
	board_count(BOARD_EXITS);
	if (worker_draw(w, 2))
		_exit(0);
	exit(0);
}

static void end_while_waiting(struct worker *w)
{
	struct stay s;

	if (!ask(w, &s))
		return;
	worker_pause((unsigned)worker_draw(w, 20000));
	end(w);
}

static void end_while_holding(struct worker *w)
{
	struct stay s;

	if (!stay_acquire(w, &s, worker_any(w), false, -1))
		return;
	stay_enter(w, &s, 0);
	stay_use(w);
	end(w);
}

/* --- children ------------------------------------------------------------------- */

/* With its parent's handles it can do nothing. */
static void be_inert(struct worker *w, struct stay *s)
{
	struct ttylock_wish wish = {.text = "of a child"};
	uint64_t id;

	part_begin("an inert child of worker %td", w->slot - board->slots);
	if (ttylock_acquire_async(s->handle, &wish, &id) != -ECONNRESET ||
	    ttylock_release(s->handle, s->id) != -ECONNRESET ||
	    ttylock_dispatch(s->handle, 0) != -ECONNRESET)
		board_fail("a forked child can use its parent's handle");
	worker_pause((unsigned)worker_draw(w, 200000)); /* it may outlive its parent by that */
	if (worker_draw(w, 2))
		ttylock_close(s->handle);
	_exit(0);
}

static void fork_while_holding(struct worker *w)
{
	struct stay s;

	if (!stay_acquire(w, &s, worker_any(w), false, -1))
		return;
	stay_enter(w, &s, 0);
	board_count(BOARD_FORKS);
	if (fork() == 0)
		be_inert(w, &s);
	stay_use(w);
	if (worker_draw(w, 3) == 0)
		end(w);
	stay_leave(w, &s);
	stay_release(&s);
}

/* A child asks for what its parent holds, on top of it. */
__attribute__((noreturn)) static void be_nested(struct worker *w, int terminal, uint64_t under)
{
	struct slot own = {.pid = getpid()};
	struct stay s;

	part_begin("a child on top of worker %td", w->slot - board->slots);
	prctl(PR_SET_PDEATHSIG, worker_draw(w, 2) ? SIGKILL : 0);
	for (int i = 0; i < w->count; i++)
		worker_forget(w, i); /* the parent's */
	w->slot = &own;
	if (stay_acquire(
		w, &s, terminal, false, worker_draw(w, 4) ? -1 : (int)worker_draw(w, 100))) {
		stay_enter(w, &s, under);
		stay_use(w);
		if (worker_draw(w, 4) == 0)
			end(w);
		stay_leave(w, &s);
		stay_release(&s);
	}
	_exit(0);
}

static void await_children(void)
{
	struct part_end e;

	while (part_await(0, &e))
		if (!e.fair)
			board_fail("%s", e.what);
}

static void nest(struct worker *w)
{
	int children = 1 + (int)worker_draw(w, 3);
	struct stay s;

	if (!stay_acquire(w, &s, worker_any(w), false, -1))
		return;
	stay_enter(w, &s, 0);
	for (int i = 0; i < children; i++) {
		worker_draw(w, 2); /* the next one's chances are others */
		pid_t pid = fork();
		if (pid == 0)
			be_nested(w, s.terminal, s.mark);
		if (pid > 0 && worker_draw(w, 8) == 0) {
			worker_pause((unsigned)worker_draw(w, 20000));
			kill(pid, SIGKILL);
		}
	}
	if (worker_draw(w, 8) == 0) /* on top of whom they are: they go on without */
		end(w);
	if (worker_draw(w, 4))
		await_children();
	stay_leave(w, &s);
	stay_release(&s);
	await_children();
}

/* --- threads -------------------------------------------------------------------- */

static void *take_turns(void *arg)
{
	struct worker *w = arg;

	for (uint64_t n = 1 + worker_draw(w, 4); n; n--) {
		if (worker_draw(w, 3))
			take_turn(w, worker_any(w), false,
			    worker_draw(w, 2) ? -1 : (int)worker_draw(w, 50));
		else
			dispatch_turn(w);
	}
	for (int i = 0; i < BOARD_TERMINALS; i++)
		worker_forget(w, i);
	return NULL;
}

/* Threads that ask over the one connection while it breaks, and is forked. */
static void be_many(struct worker *w)
{
	struct worker others[3];
	struct slot slots[3] = {0};
	pthread_t threads[3];
	int n = 2 + (int)worker_draw(w, 2);

	board_state(w->slot, BOARD_WAITS, -1);
	for (int i = 0; i < n; i++) {
		others[i] = (struct worker){.slot = &slots[i],
		    .random = worker_draw(w, UINT64_MAX),
		    .ttys = w->ttys,
		    .count = w->count};
		if (pthread_create(&threads[i], NULL, take_turns, &others[i]))
			board_fail("pthread_create");
	}
	while (worker_draw(w, 3)) {
		board_count(BOARD_FORKS);
		if (fork() == 0)
			_exit(0);
		worker_pause((unsigned)worker_draw(w, 5000));
	}
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	await_children();
}

/* --- all of it -------------------------------------------------------------------- */

static void act(struct worker *w)
{
	static void (*const acts[])(struct worker *) = {wait_for_turn, wait_for_turn, wait_for_turn,
	    wait_for_turn, wait_a_little, wait_a_little, try_turn, dispatch_turn, dispatch_turn,
	    dispatch_turn, take_two, end_while_waiting, end_while_holding, fork_while_holding, nest,
	    be_many};

	acts[worker_draw(w, sizeof(acts) / sizeof(acts[0]))](w);
	board_state(w->slot, BOARD_BUSY, -1);
	if (worker_draw(w, 16) == 0)
		worker_forget(w, worker_any(w));
}

/* What it has ended over a connection that broke, the next daemon hears of as soon
 * as the library is called again, and no sooner. */
static void stay_in_touch(struct worker *w)
{
	for (int i = 0; i < w->count; i++)
		if (worker_handle(w, i) && ttylock_dispatch(w->handles[i], 0) == -ECONNRESET)
			worker_forget(w, i);
}

void worker_run(struct slot *slot, uint64_t random, const int *ttys, int count)
{
	struct worker w = {.slot = slot, .random = random, .ttys = ttys, .count = count};

	for (;;) {
		if (__atomic_load_n(&board->quiet, __ATOMIC_SEQ_CST)) {
			board_state(slot, BOARD_IDLE, -1);
			while (__atomic_load_n(&board->quiet, __ATOMIC_SEQ_CST)) {
				stay_in_touch(&w);
				worker_pause(10000);
			}
		}
		board_state(slot, BOARD_BUSY, -1);
		act(&w);
	}
}
