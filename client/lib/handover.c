#include "handover.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"
#include "foreground.h"
#include "procfs.h"
#include "terminal.h"

#define RETREAT_MS 1000

struct saved {
	uint32_t version;
	pid_t previous, group;
	struct termios termios;
	pid_t stopped[READERS_MAX];
};
_Static_assert(sizeof(struct saved) <= HANDOVER_SAVED_MAX, "the daemon keeps no more");
#define SAVED_VERSION 1

static void set_sane(int tty, const struct termios *was)
{
	struct termios sane = *was;

	terminal_make_sane(&sane);
	terminal_set_modes(tty, &sane);
}

void handover_begin(struct handover *h, int tty, pid_t home)
{
	*h = (struct handover){.tty = tty, .home = home};
	h->job_control = terminal_is_controlling(tty);
	if (h->job_control) {
		h->previous = tcgetpgrp(tty);
		if (h->previous > 0)
			stops_note(&h->stops, h->previous, &h->census);
	}
	h->has_termios = tcgetattr(tty, &h->termios) == 0;
	if (h->has_termios)
		set_sane(tty, &h->termios);
}

int handover_give(struct handover *h, pid_t pgrp)
{
	h->group = pgrp;
	if (!h->job_control)
		return 0;
	int r = foreground_set(h->tty, pgrp);
	/* After the foreground is gone, so that a read that begins now stops by
	 * itself and one that had begun is found. */
	readers_hold(&h->readers, h->tty, h->previous, h->subject, &h->census);
	return r;
}

int handover_check_ms(const struct handover *h)
{
	return readers_check_ms(&h->readers);
}

void handover_check(struct handover *h)
{
	readers_check(&h->readers, h->tty, h->previous, h->subject, &h->census);
}

/* A shell takes the terminal, with settings of its own, as soon as its job has
 * ended, which may be while the debugger still is on its way out. */
static bool is_taken(int tty, pid_t group, pid_t previous)
{
	pid_t front = terminal_is_controlling(tty) ? tcgetpgrp(tty) : -1;

	return front > 0 && front != group && front != previous;
}

static int is_any(pid_t pid, void *arg)
{
	(void)pid, (void)arg;
	return 1;
}

static int is_alive(pid_t pid, void *arg)
{
	struct procfs_stat ps;

	(void)arg;
	return procfs_stat(pid, &ps) == 0 && ps.state != 'Z';
}

/* To the group that had it, or, where that has ended, to one that still lives:
 * the keys must reach somebody. */
static void return_foreground(int tty, pid_t previous, pid_t home, struct census *c)
{
	bool lives =
	    previous > 0 && (previous == home || census_each_of_group(c, previous, is_alive, NULL));

	/* Where both are the same group, it is tried twice. */
	if (!lives || foreground_set(tty, previous) < 0)
		foreground_set(tty, home);
}

static void lend(struct handover *h)
{
	if (is_taken(h->tty, h->group, h->previous)) {
		readers_let_go(&h->readers);
		return;
	}
	if (h->has_termios)
		terminal_set_modes(h->tty, &h->termios);
	if (!h->job_control)
		return;
	return_foreground(h->tty, h->previous, h->home, &h->census);
	bool disturbed = readers_let_go(&h->readers);
	if (h->previous > 0)
		stops_end(&h->stops, h->previous, &h->census, disturbed);
}

void handover_lend(struct handover *h)
{
	lend(h);
	census_forget(&h->census);
}

void handover_end(struct handover *h)
{
	handover_lend(h);
	h->group = 0;
}

void handover_abandon(struct handover *h)
{
	readers_let_go(&h->readers);
	census_forget(&h->census);
	h->group = 0;
}

size_t handover_save(const struct handover *h, uint8_t out[HANDOVER_SAVED_MAX])
{
	struct saved s = {
	    .version = SAVED_VERSION,
	    .previous = h->previous,
	    .group = h->group,
	    .termios = h->termios,
	};

	if (!h->has_termios)
		return 0;
	memcpy(s.stopped, h->readers.stopped, h->readers.stopped_count * sizeof(pid_t));
	memcpy(out, &s, sizeof(s));
	return sizeof(s);
}

/* In front may be the group of a dead holder whose own state nobody has saved: who
 * reads is to be found where the foreground was, by whoever takes it from there. */
static bool replace_dead_front(int tty, pid_t previous, pid_t home, struct census *c)
{
	pid_t front = terminal_is_controlling(tty) ? tcgetpgrp(tty) : -1;

	if (front <= 0 || procfs_each_of_group(front, is_any, NULL) != 0)
		return false;
	return_foreground(tty, previous, home, c);
	return true;
}

/* One that was released by force lives, and puts everything back as soon as it hears
 * of that, which is when we hear of our turn: two who do so at once undo each other's
 * work. Who has died leaves a debugger that is about to end. */
static void await_retreat(int tty, pid_t group)
{
	int64_t deadline = deadline_in(RETREAT_MS);

	while (tcgetpgrp(tty) == group && procfs_each_of_group(group, is_any, NULL) != 0 &&
	       deadline_left(deadline))
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

void handover_repair(int tty, pid_t home, const uint8_t *saved, size_t len)
{
	struct handover h = {0};
	struct termios now;
	struct saved s;

	memset(&s, 0, sizeof(s));
	if (len == sizeof(s))
		memcpy(&s, saved, len);
	if (s.version != SAVED_VERSION) {
		replace_dead_front(tty, 0, home, &h.census);
		if (tcgetattr(tty, &now) == 0)
			set_sane(tty, &now);
		return;
	}
	if (terminal_is_controlling(tty) && s.group > 0)
		await_retreat(tty, s.group);
	bool taken = !replace_dead_front(tty, s.previous, home, &h.census) &&
		     is_taken(tty, s.group, s.previous);
	if (terminal_is_controlling(tty) && s.group > 0 && tcgetpgrp(tty) == s.group) {
		/* Still in front: so it is that holder's group, not a later one by the
		 * same number. */
		kill(-s.group, SIGKILL);
		return_foreground(tty, s.previous, home, &h.census);
	}
	if (!taken)
		terminal_set_modes(tty, &s.termios);
	for (size_t i = 0; i < READERS_MAX && s.stopped[i] > 0; i++)
		kill(s.stopped[i], SIGCONT);
	if (s.previous > 0 && !taken)
		stops_end(&h.stops, s.previous, &h.census, true); /* the dead one's readers */
	census_forget(&h.census);
}
