#include "readers.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "deadline.h"
#include "procfs.h"

#define STOP_WAIT_MS 500
/* Who was woken inside a read needs far less than this to be back in it. */
#define RUN_CPU_NS  1000000
#define RUN_WAIT_MS 50 /* where it is not known how long one has run */
/* One may be kept from the processor by others for long. */
#define STARVED_MS  2000
#define RUNNERS_MAX 32

struct search {
	struct readers *readers;
	int tty;
	pid_t spared;
	bool unclear; /* of some it could not be told */
	int64_t began;
	size_t runner_count;
	struct {
		pid_t thread;
		int64_t ran; /* when it was first seen to run */
	} runners[RUNNERS_MAX];
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

/* It has run on its own account since the foreground is gone: if it was in a read, it
 * is not any more, and a new one stops by itself. */
static bool computes(pid_t pid, pid_t thread, void *arg)
{
	struct search *s = arg;
	int64_t ran = procfs_ran(pid, thread);

	for (size_t i = 0; ran >= 0 && i < s->runner_count; i++)
		if (s->runners[i].thread == thread)
			return ran - s->runners[i].ran >= RUN_CPU_NS;
	if (ran < 0 || s->runner_count == RUNNERS_MAX)
		return clock_ms() - s->began >= RUN_WAIT_MS;
	s->runners[s->runner_count].thread = thread;
	s->runners[s->runner_count++].ran = ran;
	return false;
}

static int hold_if_reader(pid_t pid, void *arg)
{
	struct search *s = arg;
	struct readers *r = s->readers;
	pid_t thread;

	if (pid == s->spared)
		return 0;
	int reads = procfs_reads_terminal(pid, s->tty, &thread, computes, s);
	if (reads == -EAGAIN)
		s->unclear = true;
	if (reads != 1 || is_held(r, pid, thread))
		return 0;
	if (r->held_count < READERS_MAX && hold_thread(thread) == 0)
		r->held[r->held_count++] = thread;
	else if (r->stopped_count < READERS_MAX && kill(pid, SIGSTOP) == 0)
		r->stopped[r->stopped_count++] = pid;
	return 0;
}

/* Looks again at those who run, for they may be in a read all the same. */
void readers_hold(struct readers *r, int tty, pid_t pgrp, pid_t spared, struct census *c)
{
	struct search s = {.readers = r, .tty = tty, .spared = spared, .began = clock_ms()};
	int64_t deadline = deadline_in(STARVED_MS);

	r->held_count = r->stopped_count = 0;
	if (pgrp <= 0)
		return;
	do {
		if (s.unclear)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		s.unclear = false;
		census_each_of_group(c, pgrp, hold_if_reader, &s);
	} while (s.unclear && deadline_left(deadline) > 0);
}

void readers_await_none(pid_t pid, int tty)
{
	struct search s = {.began = clock_ms()};
	int64_t deadline = deadline_in(STARVED_MS);
	pid_t thread;

	while (procfs_reads_terminal(pid, tty, &thread, computes, &s) != 0 &&
	       deadline_left(deadline) > 0)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void let_go(pid_t thread)
{
	if (ptrace(PTRACE_DETACH, thread, NULL, NULL) < 0)
		waitpid(thread, NULL, __WALL | WNOHANG);
}

void readers_check(struct readers *r)
{
	for (size_t i = 0; i < r->held_count;) {
		if (procfs_has_pending(r->held[i])) {
			let_go(r->held[i]);
			r->held[i] = r->held[--r->held_count];
		} else {
			i++;
		}
	}
}

void readers_let_go(struct readers *r)
{
	for (size_t i = 0; i < r->held_count; i++)
		let_go(r->held[i]);
	for (size_t i = 0; i < r->stopped_count; i++)
		kill(r->stopped[i], SIGCONT);
	r->held_count = r->stopped_count = 0;
}
