#include "stops.h"

#include <signal.h>
#include <time.h>

#include "deadline.h"
#include "procfs.h"
#include "runners.h"

/* Who is stopped again and again is in the background still. */
#define FOUND_MAX    4
#define PAUSE_NS     100000
#define PAUSE_NS_MAX 1600000

static int note(pid_t pid, void *arg)
{
	struct stops *s = arg;
	struct procfs_stat ps;

	if (s->count == STOPS_MAX || procfs_stat(pid, &ps) < 0 || ps.state != 'T')
		return 0;
	int sig = procfs_stop_signal(pid);
	if (sig != SIGTTIN && sig != SIGTTOU)
		s->before[s->count++] = pid;
	return 0;
}

void stops_note(struct stops *s, pid_t pgrp, struct census *c)
{
	s->count = 0;
	census_each_of_group(c, pgrp, note, s);
}

struct look {
	const struct stops *stops;
	struct runners runners;
	bool found, unclear, last;
};

static bool was_before(const struct stops *s, pid_t pid)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->before[i] == pid)
			return true;
	return false;
}

/* Some may not have run since their stop was sent, others have taken it and are not in
 * it yet: no look sees that. A signal ends such a stop as well, but to a process without
 * one it is a signal too many. */
static int continue_if_new(pid_t pid, void *arg)
{
	struct look *l = arg;

	if (was_before(l->stops, pid))
		return 0;
	int stops = procfs_stops(pid, runners_computes, &l->runners);
	if (stops < 0 && !l->last) {
		l->unclear = true;
	} else if (stops != 0) {
		kill(pid, SIGCONT);
		l->found = true;
	}
	return 0;
}

/* Where one was stopped all were, also one that is too new to be among those that were
 * listed; and those who run are looked at again, until they are in their stop or have run
 * on. */
void stops_end(const struct stops *s, pid_t pgrp, struct census *c, bool disturbed)
{
	struct look l = {.stops = s};
	int64_t deadline = deadline_in(RUNNERS_MS);
	struct timespec pause = {.tv_nsec = PAUSE_NS};

	runners_init(&l.runners);
	census_each_of_group(c, pgrp, continue_if_new, &l);
	if (l.found)
		census_forget(c);
	for (int found = l.found; !l.last && (l.found || (l.unclear && (found || disturbed)));
	     found += l.found) {
		l.last = found >= FOUND_MAX || deadline_left(deadline) == 0;
		l.found = l.unclear = false;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < PAUSE_NS_MAX)
			pause.tv_nsec *= 2;
		census_each_of_group(c, pgrp, continue_if_new, &l);
	}
}
