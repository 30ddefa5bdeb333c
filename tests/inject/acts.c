#include "acts_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#include "../outside.h"

static volatile sig_atomic_t interrupts;

/* --- the acts ----------------------------------------------------------------- */

static void act_turn(void)
{
	struct ttylock_wish wish = {.text = "one turn"}, now = {.nonblock = true};
	struct ttylock *t = acts_opened(stage->tty);
	uint64_t id;

	if (!t)
		return;
	if (acts_granted(t, &wish, &id))
		acts_released(t, id);
	acts_ask(ACTS_RIVAL);
	for (int i = 0; i < 2; i++) {
		bool in_haste = i == 0;
		if (CALL(ttylock_acquire, t, in_haste ? &now : &wish, in_haste ? -1 : 20, &id) == 0)
			acts_fault("granted while another has it");
	}
	acts_ask(ACTS_YIELD);
	if (acts_granted(t, &wish, &id))
		acts_released(t, id);
	acts_ask(ACTS_GONE);
	acts_closed(t);
}

static enum ttylock_state state_of(struct ttylock *t, uint64_t id)
{
	struct ttylock_status status = {.state = TTYLOCK_LOST};

	CALL(ttylock_get_status, t, id, &status);
	return status.state;
}

static void await_grant(struct ttylock *t, uint64_t id)
{
	for (int i = 0; i < 100 && state_of(t, id) == TTYLOCK_QUEUED; i++) {
		inject_arm();
		ttylock_fd(t);
		inject_disarm();
		CALL(ttylock_dispatch, t, 100);
	}
	if (state_of(t, id) == TTYLOCK_GRANTED)
		acts_holds();
	else if (state_of(t, id) != TTYLOCK_LOST) /* which dispatch has said */
		acts_fault("an asynchronous request is never granted");
}

static bool asked(struct ttylock *t, const struct ttylock_wish *wish, uint64_t *id)
{
	for (int i = 0; i < TRIES; i++)
		if (CALL(ttylock_acquire_async, t, wish, id) == 0)
			return true;
	acts_fault("nothing can be asked for a second time");
	return false;
}

static int count(const struct ttylock_entry *entry, void *arg)
{
	(void)entry;
	(*(int *)arg)++;
	return 0;
}

static void act_async(void)
{
	struct ttylock_wish wish = {.text = "asynchronous"};
	struct ttylock *t = acts_opened(stage->tty);
	int entries = 0;
	uint64_t id;

	if (!t)
		return;
	acts_ask(ACTS_RIVAL);
	if (asked(t, &wish, &id))
		CALL(ttylock_cancel, t, id);
	bool waits = asked(t, &wish, &id);
	CALL(ttylock_list, t, SECOND, count, &entries);
	acts_ask(ACTS_YIELD);
	if (waits) {
		await_grant(t, id);
		acts_released(t, id);
	}
	acts_ask(ACTS_GONE);
	acts_closed(t);
}

static void act_terminal(void)
{
	struct ttylock_wish wish = {.text = "talks itself"};
	struct ttylock *t = acts_opened(-1);
	uint64_t id;

	if (!t)
		return;
	for (int i = 0; i < 2 && acts_granted(t, &wish, &id); i++) {
		if (CALL(ttylock_take_terminal, t, id) == 0 && i == 0)
			CALL(ttylock_give_terminal, t);
		acts_released(t, id); /* gives it back, where it is not */
	}
	acts_closed(t);
}

static void on_interrupt(int sig)
{
	(void)sig;
	interrupts++;
}

static void interrupt(void)
{
	inject_arm();
	raise(SIGINT);
	inject_disarm();
}

static void act_shield(void)
{
	struct ttylock_wish wish = {.text = "shielded", .shield = true};
	struct sigaction mine = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART}, there;
	uint64_t id;

	sigaction(SIGINT, &mine, NULL);
	struct ttylock *t = acts_opened(stage->tty);
	if (!t)
		return;
	if (acts_granted(t, &wish, &id)) {
		interrupt();
		acts_released(t, id);
	}
	acts_ask(ACTS_RIVAL);
	bool shielded = CALL(ttylock_shield, t) == 0;
	bool waits = asked(t, &wish, &id);
	interrupt();
	acts_ask(ACTS_YIELD);
	if (waits && state_of(t, id) == TTYLOCK_QUEUED && interrupts == 0) {
		await_grant(t, id);
		acts_leave(stage->file);
	}
	if (waits)
		CALL(ttylock_release, t, id);
	acts_ask(ACTS_GONE);
	if (shielded)
		CALL(ttylock_unshield, t);
	acts_closed(t);
	sigaction(SIGINT, NULL, &there);
	if (there.sa_handler != on_interrupt)
		acts_fault("SIGINT's handler is not put back");
}

/* The terminal stays ours, whoever is the daemon. */
static void act_restart(void)
{
	struct ttylock_wish wish = {.text = "outlives the daemon"};
	struct ttylock *t = acts_opened(stage->tty);
	uint64_t id, next;

	if (!t)
		return;
	if (acts_granted(t, &wish, &id)) {
		acts_ask(ACTS_RESTART);
		for (int i = 0; i < 4; i++)
			CALL(ttylock_dispatch, t, 50);
		acts_released(t, id);
	}
	acts_ask(ACTS_RESTART);
	if (acts_granted(t, &wish, &next))
		acts_released(t, next);
	acts_closed(t);
}

static void of_child(struct ttylock *parents, uint64_t id)
{
	struct ttylock_wish wish = {.nonblock = true};
	struct ttylock *own;
	uint64_t other;

	CALL(ttylock_release, parents, id);
	acts_closed(parents);
	if (CALL(ttylock_open, &own, stage->tty, 0) < 0)
		return;
	CALL(ttylock_acquire, own, &wish, -1, &other); /* under the parent's grant */
	acts_closed(own);
}

static void act_fork(void)
{
	struct ttylock_wish wish = {.text = "a parent"};
	struct ttylock *t = acts_opened(stage->tty);
	uint64_t id;
	int status;

	if (!t)
		return;
	if (acts_granted(t, &wish, &id)) {
		inject_arm();
		pid_t pid = fork(); /* what the library does about it */
		inject_disarm();
		if (pid == 0) {
			of_child(t, id);
			_exit(0);
		}
		while (pid > 0 && waitpid(pid, &status, 0) < 0)
			;
		if (pid > 0 && status != 0)
			acts_fault("the child crashed");
		CALL(ttylock_in_debug, getpid());
		CALL(ttylock_wait_idle, 0);
		acts_released(t, id);
	}
	acts_closed(t);
	CALL(ttylock_wait_idle, SECOND);
}

/* Nobody listens where this process looks; the driver ends what it starts. */
static void act_start(void)
{
	struct ttylock_wish wish = {.text = "with a daemon of its own"};
	struct ttylock *t = NULL;
	uint64_t id;

	setenv("TTYLOCK_SOCKET", ACTS_STARTED, 1);
	for (int i = 0; i < TRIES && !t; i++)
		CALL(ttylock_open, &t, stage->tty, TTYLOCK_START);
	if (!t) {
		acts_fault("no daemon can be started a second time");
		return;
	}
	if (acts_granted(t, &wish, &id))
		acts_released(t, id);
	acts_closed(t);
}

static void act_install(void)
{
	CALL(ttylock_crash_handler_install);
	CALL(ttylock_crash_handler_thread);
	CALL(ttylock_stack_dump_install);
	CALL(ttylock_crash_handler_set, false);
	CALL(ttylock_crash_handler_set, true);
	CALL(ttylock_crash_handler_set, false);
}

static const struct act acts[] = {
    {"turn", act_turn, false},
    {"async", act_async, false},
    {"terminal", act_terminal, false},
    {"shield", act_shield, false},
    {"restart", act_restart, false},
    {"fork", act_fork, false},
    {"start", act_start, false},
    {"install", act_install, true},
    {NULL, NULL, false},
};

/* --- one of them -------------------------------------------------------------- */

/* What is owed to the daemon is told it at the next call with any handle. */
static void settle(int before)
{
	struct ttylock *t;
	int entries = 0;

	for (int i = 0; i < 100 && outside_descriptors(getpid()) != before; i++) {
		if (ttylock_open(&t, stage->tty, 0) < 0)
			continue;
		ttylock_list(t, SECOND, count, &entries);
		ttylock_close(t);
	}
	if (outside_descriptors(getpid()) != before)
		acts_fault("descriptors leak");
}

static const struct act *find(const char *name)
{
	const struct act *const all[] = {acts, acts_of_crashes, acts_of_others, acts_of_threads};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (const struct act *a = all[i]; a->name; a++)
			if (strcmp(a->name, name) == 0)
				return a;
	return NULL;
}

int acts_play(const char *name, const struct acts_stage *where)
{
	const struct act *act = find(name);

	stage = where;
	if (!act)
		return 0;
	int before = outside_descriptors(getpid());
	size_t heap = mallinfo2().uordblks;
	act->play();
	if (!act->leaves)
		settle(before);
	acts_report->heap = mallinfo2().uordblks - heap;
	exit(0);
}
