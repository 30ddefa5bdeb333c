#include "readers.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "deadline.h"
#include "input.h"
#include "procfs.h"
#include "runners.h"

#define STOP_WAIT_MS 500
/* Who is busy with something else when the foreground goes is back at its poll soon. */
#define LOOKS 8
/* How long a signal to somebody who is held may take. */
#define CHECK_MS 250

struct search {
	struct readers *readers;
	int tty;
	pid_t spared;
	bool polls_only;
	bool unclear; /* of some it could not be told */
	struct runners runners;
};

/* Waits until the traced thread is in a ptrace stop. 0, or -1: it has ended,
 * or it does not come. */
static int await_stop(pid_t thread)
{
	int64_t deadline = deadline_in(STOP_WAIT_MS);
	int status;

	while (deadline_left(deadline) > 0) {
		pid_t got = waitpid(thread, &status, __WALL | WNOHANG);
		if (got == thread)
			return WIFSTOPPED(status) ? 0 : -1;
		if (got < 0 && errno != EINTR)
			return -1;
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	return -1;
}

static int hold_thread(pid_t thread)
{
	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0)
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0)
		await_stop(thread);
	return 0;
}

static bool is_held(const struct readers *r, pid_t pid, pid_t thread)
{
	for (size_t i = 0; i < r->stopped_count; i++)
		if (r->stopped[i] == pid)
			return true;
	for (size_t i = 0; i < r->held_count; i++)
		if (r->held[i] == thread)
			return true;
	return false;
}

/* Who polls and is stopped is let go by whoever continues it. */
static void hold(struct search *s, pid_t pid, pid_t thread, enum input input)
{
	struct readers *r = s->readers;

	if ((s->polls_only && input != INPUT_POLL) || is_held(r, pid, thread) ||
	    (input == INPUT_POLL && procfs_is_stopped(pid)))
		return;
	if (input == INPUT_POLL)
		r->looks = -1;
	r->disturbed = true;
	if (r->held_count < READERS_MAX && hold_thread(thread) == 0)
		r->held[r->held_count++] = thread;
	else if (input == INPUT_READ && r->stopped_count < READERS_MAX && kill(pid, SIGSTOP) == 0)
		r->stopped[r->stopped_count++] = pid;
}

static void look_at(pid_t pid, pid_t thread, enum input input, void *arg)
{
	struct search *s = arg;

	/* Who has run on its own account since the foreground is gone is in no read any
	 * more, if it was; and a new one stops by itself. */
	if (input == INPUT_RUNS)
		s->unclear |= !runners_computes(pid, thread, &s->runners);
	else if (input != INPUT_NONE && s->readers)
		hold(s, pid, thread, input);
	else
		s->unclear |= input == INPUT_READ;
}

static int look_at_process(pid_t pid, void *arg)
{
	struct search *s = arg;

	if (pid != s->spared)
		input_each(pid, s->tty, look_at, s);
	return 0;
}

/* Looks again at those who run, for they may be in a read all the same. */
void readers_hold(struct readers *r, int tty, pid_t pgrp, pid_t spared, struct census *c)
{
	struct search s = {.readers = r, .tty = tty, .spared = spared};
	int64_t deadline = deadline_in(RUNNERS_MS);

	runners_init(&s.runners);
	*r = (struct readers){0};
	if (pgrp <= 0)
		return;
	r->looks = LOOKS;
	do {
		if (s.unclear)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		s.unclear = false;
		census_each_of_group(c, pgrp, look_at_process, &s);
	} while (s.unclear && deadline_left(deadline) > 0);
}

void readers_await_none(pid_t pid, int tty)
{
	struct search s = {.tty = tty};
	int64_t deadline = deadline_in(RUNNERS_MS);

	runners_init(&s.runners);
	do {
		if (s.unclear)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		s.unclear = false;
		look_at_process(pid, &s);
	} while (s.unclear && deadline_left(deadline) > 0);
}

static void let_go(pid_t thread)
{
	if (ptrace(PTRACE_DETACH, thread, NULL, NULL) < 0)
		waitpid(thread, NULL, __WALL | WNOHANG);
}

int readers_check_ms(const struct readers *r)
{
	return r->held_count || r->looks ? CHECK_MS : -1;
}

void readers_check(struct readers *r, int tty, pid_t pgrp, pid_t spared, struct census *c)
{
	struct search s = {.readers = r, .tty = tty, .spared = spared, .polls_only = true};

	for (size_t i = 0; i < r->held_count;) {
		if (procfs_has_pending(r->held[i])) {
			let_go(r->held[i]);
			r->held[i] = r->held[--r->held_count];
		} else {
			i++;
		}
	}
	if (pgrp <= 0 || r->looks == 0)
		return;
	if (r->looks > 0)
		r->looks--;
	census_each_of_group(c, pgrp, look_at_process, &s);
}

bool readers_let_go(struct readers *r)
{
	bool disturbed = r->disturbed;

	for (size_t i = 0; i < r->held_count; i++)
		let_go(r->held[i]);
	for (size_t i = 0; i < r->stopped_count; i++)
		kill(r->stopped[i], SIGCONT);
	*r = (struct readers){0};
	return disturbed;
}
