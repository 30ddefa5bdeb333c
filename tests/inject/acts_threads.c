/* Acts of several threads: what one does while another is at it. */
#include <pthread.h>
#include <signal.h>
#include <ttylock.h>
#include <unistd.h>

#include "../../client/lib/guard.h"
#include "acts_inside.h"
#include "meeting.h"

#define LOOKS 1000

/* --- one handle ---------------------------------------------------------------- */

static struct ttylock *shared;

static void *take_turn(void *arg)
{
	struct ttylock_wish wish = {.text = "one of two threads"};
	uint64_t id;

	for (int i = 0; i < TRIES; i++) {
		if (ttylock_acquire(shared, &wish, 5 * SECOND, &id) == 0) {
			ttylock_release(shared, id);
			return arg;
		}
	}
	acts_fault("a thread is not served");
	return arg;
}

static void *be_interrupted(void *arg)
{
	struct ttylock_wish wish = {.text = "to be interrupted"};
	uint64_t id;

	for (int i = 0; i < TRIES; i++)
		if (ttylock_acquire(shared, &wish, 5 * SECOND, &id) == 0)
			acts_fault("granted while another has it");
	return arg;
}

static void await_waiters(int most)
{
	inject_spare(true);
	for (int i = 0; i < LOOKS && acts_waiters(stage->tty) < most; i++)
		usleep(1000);
	inject_spare(false);
}

static void interrupted(void)
{
	pthread_t id;

	if (!acts_begin(&id, be_interrupted, NULL))
		return;
	await_waiters(1);
	for (int i = 0; i < LOOKS && pthread_tryjoin_np(id, NULL) != 0; i++) {
		ttylock_interrupt(shared);
		usleep(1000);
	}
}

/* Two wait by one handle, of which one hears for both. */
static void act_pair(void)
{
	pthread_t id[2];

	shared = acts_opened(stage->tty);
	struct ttylock *another = acts_opened(stage->tty);
	if (!shared || !another)
		return;
	acts_ask(ACTS_RIVAL);
	inject_arm();
	interrupted();
	bool begun[] = {acts_begin(&id[0], take_turn, NULL), acts_begin(&id[1], take_turn, NULL)};
	await_waiters(2);
	inject_spare(true);
	acts_ask(ACTS_YIELD);
	inject_spare(false);
	for (int i = 0; i < 2; i++)
		if (begun[i])
			pthread_join(id[i], NULL);
	inject_disarm();
	acts_ask(ACTS_GONE);
	acts_closed(another);
	acts_closed(shared);
}

/* --- Ctrl-C ------------------------------------------------------------------- */

static volatile sig_atomic_t redraws, goes_on;

static void redraw(void *arg)
{
	(void)arg;
	redraws++;
	for (int i = 0; i < 20 && !goes_on; i++)
		usleep(1000);
}

static void *press(void *arg)
{
	raise(SIGINT);
	return arg;
}

/* The shield ends while the hook is at work in another thread. */
static void act_hook(void)
{
	struct ttylock_wish wish = {.text = "shielded", .shield = true, .redraw = redraw};
	struct ttylock *t = acts_opened(stage->tty);
	pthread_t thread;
	uint64_t id;

	acts_report->may_end_by[SIGINT] = true;
	if (t && acts_granted(t, &wish, &id)) {
		inject_arm();
		bool begun = acts_begin(&thread, press, NULL);
		for (int i = 0; i < 100 && !redraws; i++)
			usleep(1000);
		acts_released(t, id);
		goes_on = 1;
		if (begun)
			pthread_join(thread, NULL);
	}
	acts_closed(t);
}

/* Two press at once, and the daemon does not answer. */
static void act_silence(void)
{
	struct ttylock *t = acts_opened(stage->tty);
	pthread_t thread;

	signal(SIGINT, SIG_IGN);
	if (!t)
		return;
	CALL(ttylock_shield, t);
	acts_ask(ACTS_SILENCE);
	inject_arm();
	bool begun = acts_begin(&thread, press, NULL);
	usleep(20000);
	raise(SIGINT);
	if (begun)
		pthread_join(thread, NULL);
	inject_disarm();
	acts_ask(ACTS_SPEECH);
	CALL(ttylock_unshield, t);
	acts_closed(t);
}

/* --- two at once ----------------------------------------------------------------- */

static volatile bool other_is_through;

static bool is_other_through(void)
{
	return other_is_through;
}

static void *install_dump(void *arg)
{
	ttylock_stack_dump_install();
	return arg;
}

/* Both make what they need, and one of them is the first. */
static void act_installs(void)
{
	pthread_t thread;
	int r = -1;

	inject_arm();
	meeting_at("mprotect", is_other_through);
	bool begun = acts_begin(&thread, install_dump, NULL);
	meeting_await();
	for (int i = 0; i < TRIES && r < 0; i++)
		r = ttylock_crash_handler_install();
	other_is_through = true;
	if (begun)
		pthread_join(thread, NULL);
	inject_disarm();
	if (r < 0)
		acts_fault("no handler can be installed a second time");
}

static void *guard(void *arg)
{
	guard_enter();
	guard_leave();
	return arg;
}

/* More calls than there are unless one of them waits for the other. */
static bool is_waited_for(void)
{
	return inject->calls > 100;
}

static void act_guard(void)
{
	pthread_t thread;

	inject_arm();
	meeting_at("sigaction", is_waited_for);
	bool begun = acts_begin(&thread, guard, NULL);
	meeting_await();
	guard(NULL);
	if (begun)
		pthread_join(thread, NULL);
	inject_disarm();
	if (guard_entered())
		acts_fault("a thread is thought to be at its trap");
}

static bool is_napping(void)
{
	return inject_was_called("nanosleep");
}

/* Ctrl-C asks the next daemon while another shield goes up. */
static void act_contest(void)
{
	struct ttylock *t = acts_opened(stage->tty), *other = acts_opened(stage->tty);
	pthread_t thread;
	int r = -1;

	signal(SIGINT, SIG_IGN);
	if (!t || !other)
		return;
	CALL(ttylock_shield, t);
	acts_ask(ACTS_RESTART);
	inject_arm();
	meeting_at("connect", is_napping);
	bool begun = acts_begin(&thread, press, NULL);
	meeting_await();
	for (int i = 0; i < TRIES && r < 0; i++)
		r = acts_told("ttylock_shield", ttylock_shield(other));
	if (begun)
		pthread_join(thread, NULL);
	inject_disarm();
	if (r == 0)
		CALL(ttylock_unshield, other);
	CALL(ttylock_unshield, t);
	acts_closed(other);
	acts_closed(t);
}

const struct act acts_of_threads[] = {
    {"pair", act_pair, false},
    {"hook", act_hook, false},
    {"silence", act_silence, false},
    {"installs", act_installs, true},
    {"guard", act_guard, true},
    {"contest", act_contest, false},
    {NULL, NULL, false},
};
