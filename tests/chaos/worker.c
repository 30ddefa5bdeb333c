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

struct worker {
	struct slot *slot;
	uint64_t random;
	const int *ttys;
	int count;
	struct ttylock *handles[BOARD_TERMINALS];
};

/* A turn: a request that was granted. */
struct stay {
	struct ttylock *handle;
	int terminal;
	uint64_t id, mark; /* mark: 0: never entered */
};

static uint64_t draw(struct worker *w, uint64_t below)
{
	return board_random(&w->random) % below;
}

void worker_pause(unsigned us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&t, NULL);
}

/* --- one turn ----------------------------------------------------------------- */

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

static struct ttylock *handle(struct worker *w, int terminal)
{
	if (!w->handles[terminal])
		w->handles[terminal] = open_handle(w, terminal);
	return w->handles[terminal];
}

static void forget(struct worker *w, int terminal)
{
	ttylock_close(w->handles[terminal]);
	w->handles[terminal] = NULL;
}

static void enter(struct worker *w, struct stay *s, uint64_t under)
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

static void use(struct worker *w)
{
	static const unsigned us[] = {0, 0, 100, 1000, 5000, 20000};

	/* Now and then so long that somebody may lose patience with it. */
	worker_pause(draw(w, 32) ? us[draw(w, sizeof(us) / sizeof(us[0]))] : 150000);
	if (draw(w, 2))
		order_await();
}

/* The last look before it is given back: it must have been ours all the time, but for
 * a release by force. */
static void leave(struct worker *w, struct stay *s)
{
	if (s->mark) {
		expect_held(s->handle, s->id, "a holder");
		board_leave(s->terminal, s->mark);
	}
	board_state(w->slot, BOARD_BUSY, s->terminal);
}

static void release(struct stay *s)
{
	int r = ttylock_release(s->handle, s->id);

	if (r == -ENOENT)
		board_fail("release: no such request");
	expect_result(r, "release");
}

/* Whether it was granted. */
static bool acquire(struct worker *w, struct stay *s, int terminal, bool nonblock, int timeout_ms)
{
	struct ttylock_wish wish = {.text = "chaos", .nonblock = nonblock};

	*s = (struct stay){.handle = handle(w, terminal), .terminal = terminal};
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

static void take_turn(struct worker *w, int terminal, bool nonblock, int timeout_ms)
{
	struct stay s;

	if (!acquire(w, &s, terminal, nonblock, timeout_ms))
		return;
	enter(w, &s, 0);
	use(w);
	leave(w, &s);
	release(&s);
}

static int any(struct worker *w)
{
	return (int)draw(w, (uint64_t)w->count);
}

static void wait_for_turn(struct worker *w)
{
	take_turn(w, any(w), false, -1);
}

static void wait_a_little(struct worker *w)
{
	take_turn(w, any(w), false, (int)draw(w, 300));
}

static void try_turn(struct worker *w)
{
	take_turn(w, any(w), true, -1);
}

/* Takes the second one while it has the first: who waits in a circle is told. */
static void take_two(struct worker *w)
{
	int one = any(w), other = (one + 1 + (int)draw(w, (uint64_t)w->count - 1)) % w->count;
	struct stay s, inner;

	if (!acquire(w, &s, one, false, -1))
		return;
	enter(w, &s, 0);
	if (acquire(w, &inner, other, false, draw(w, 2) ? -1 : 100)) {
		enter(w, &inner, 0);
		use(w);
		leave(w, &inner);
		release(&inner);
	}
	leave(w, &s);
	release(&s);
}

/* --- asynchronous ------------------------------------------------------------- */

static bool ask(struct worker *w, struct stay *s)
{
	struct ttylock_wish wish = {.text = "asynchronous"};

	s->terminal = any(w);
	s->handle = handle(w, s->terminal);
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
	for (uint64_t looks = draw(w, 4) ? UINT64_MAX : draw(w, 5);
	     looks && state == TTYLOCK_QUEUED; looks--)
		state = look(&s, draw(w, 2) ? (int)draw(w, 20) : 100);
	if (state != TTYLOCK_QUEUED && state != TTYLOCK_GRANTED) {
		give_up(&s, state, skips);
		return;
	}
	if (state == TTYLOCK_GRANTED) {
		enter(w, &s, 0);
		use(w);
		leave(w, &s);
	}
	board_state(w->slot, BOARD_BUSY, s.terminal);
	if (draw(w, 4) == 0) {
		forget(w, s.terminal);
	} else if (state == TTYLOCK_GRANTED) {
		release(&s);
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
	if (draw(w, 2))
		worker_crash();
	board_count(BOARD_EXITS);
	if (draw(w, 2))
		_exit(0);
	exit(0);
}

static void end_while_waiting(struct worker *w)
{
	struct stay s;

	if (!ask(w, &s))
		return;
	worker_pause((unsigned)draw(w, 20000));
	end(w);
}

static void end_while_holding(struct worker *w)
{
	struct stay s;

	if (!acquire(w, &s, any(w), false, -1))
		return;
	enter(w, &s, 0);
	use(w);
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
	worker_pause((unsigned)draw(w, 200000)); /* it may outlive its parent by that */
	if (draw(w, 2))
		ttylock_close(s->handle);
	_exit(0);
}

static void fork_while_holding(struct worker *w)
{
	struct stay s;

	if (!acquire(w, &s, any(w), false, -1))
		return;
	enter(w, &s, 0);
	board_count(BOARD_FORKS);
	if (fork() == 0)
		be_inert(w, &s);
	use(w);
	if (draw(w, 3) == 0)
		end(w);
	leave(w, &s);
	release(&s);
}

/* A child asks for what its parent holds, on top of it. */
__attribute__((noreturn)) static void be_nested(struct worker *w, int terminal, uint64_t under)
{
	struct slot own = {.pid = getpid()};
	struct stay s;

	part_begin("a child on top of worker %td", w->slot - board->slots);
	prctl(PR_SET_PDEATHSIG, draw(w, 2) ? SIGKILL : 0);
	for (int i = 0; i < w->count; i++)
		forget(w, i); /* the parent's */
	w->slot = &own;
	if (acquire(w, &s, terminal, false, draw(w, 4) ? -1 : (int)draw(w, 100))) {
		enter(w, &s, under);
		use(w);
		if (draw(w, 4) == 0)
			end(w);
		leave(w, &s);
		release(&s);
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
	int children = 1 + (int)draw(w, 3);
	struct stay s;

	if (!acquire(w, &s, any(w), false, -1))
		return;
	enter(w, &s, 0);
	for (int i = 0; i < children; i++) {
		draw(w, 2); /* the next one's chances are others */
		pid_t pid = fork();
		if (pid == 0)
			be_nested(w, s.terminal, s.mark);
		if (pid > 0 && draw(w, 8) == 0) {
			worker_pause((unsigned)draw(w, 20000));
			kill(pid, SIGKILL);
		}
	}
	if (draw(w, 8) == 0) /* on top of whom they are: they go on without */
		end(w);
	if (draw(w, 4))
		await_children();
	leave(w, &s);
	release(&s);
	await_children();
}

/* --- threads -------------------------------------------------------------------- */

static void *take_turns(void *arg)
{
	struct worker *w = arg;

	for (uint64_t n = 1 + draw(w, 4); n; n--) {
		if (draw(w, 3))
			take_turn(w, any(w), false, draw(w, 2) ? -1 : (int)draw(w, 50));
		else
			dispatch_turn(w);
	}
	for (int i = 0; i < BOARD_TERMINALS; i++)
		forget(w, i);
	return NULL;
}

/* Threads that ask over the one connection while it breaks, and is forked. */
static void be_many(struct worker *w)
{
	struct worker others[3];
	struct slot slots[3] = {0};
	pthread_t threads[3];
	int n = 2 + (int)draw(w, 2);

	board_state(w->slot, BOARD_WAITS, -1);
	for (int i = 0; i < n; i++) {
		others[i] = (struct worker){.slot = &slots[i],
		    .random = draw(w, UINT64_MAX),
		    .ttys = w->ttys,
		    .count = w->count};
		if (pthread_create(&threads[i], NULL, take_turns, &others[i]))
			board_fail("pthread_create");
	}
	while (draw(w, 3)) {
		board_count(BOARD_FORKS);
		if (fork() == 0)
			_exit(0);
		worker_pause((unsigned)draw(w, 5000));
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

	acts[draw(w, sizeof(acts) / sizeof(acts[0]))](w);
	board_state(w->slot, BOARD_BUSY, -1);
	if (draw(w, 16) == 0)
		forget(w, any(w));
}

/* What it has ended over a connection that broke, the next daemon hears of as soon
 * as the library is called again, and no sooner. */
static void stay_in_touch(struct worker *w)
{
	for (int i = 0; i < w->count; i++)
		if (handle(w, i) && ttylock_dispatch(w->handles[i], 0) == -ECONNRESET)
			forget(w, i);
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

void worker_anchor(struct slot *slot, int tty, int terminal)
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
