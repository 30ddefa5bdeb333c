#include "schedule.h"

#include <errno.h>
#include <string.h>
#include <signal.h>

#include "../../client/lib/deadline.h"
#include "board.h"
#include "cast.h"
#include "hooks.h"
#include "report.h"

struct run {
	const struct schedule *schedule;
	struct board *board;
	struct cast cast;
	void *context;
	uint32_t next[SCHEDULE_ACTORS]; /* the stop that the actor's coming steps begin with */
	int patience_ms;
	int64_t deadline; /* of the present step */
	char why[128];	  /* the present step did not come */
};

/* --- the steps ------------------------------------------------------------- */

static struct cast_member *member_of(struct run *r, const struct step *step)
{
	for (size_t i = 0; i < r->cast.n; i++)
		if (strcmp(r->cast.members[i].actor->name, step->actor) == 0)
			return &r->cast.members[i];
	return NULL;
}

static bool fail(struct run *r, const char *why)
{
	snprintf(r->why, sizeof(r->why), "%s", why);
	return false;
}

/* One look and, when that was not enough, one wait; false: the time is up. */
static bool look_again(struct run *r, uint32_t seen)
{
	int left = deadline_left(r->deadline);

	for (uint32_t i = 0; i < r->board->n_slots; i++)
		if (r->board->slots[i].ended && r->board->slots[i].unstarted)
			return fail(r, "a program cannot be executed");
	if (left == 0)
		return fail(r, "not in time");
	board_await(r->board, seen, left);
	return true;
}

static bool reach(struct run *r, struct cast_member *m, bool or_end)
{
	struct board_slot *s = m->slot;
	uint32_t stop = r->next[s - r->board->slots]++;

	board_let(s, stop);
	for (;;) {
		uint32_t seen = r->board->news;
		if (s->reached > stop)
			return true;
		if (s->ended)
			return or_end || fail(r, "it has ended instead");
		if (!look_again(r, seen))
			return false;
	}
}

static bool go(struct run *r, struct cast_member *m)
{
	board_let(m->slot, r->next[m->slot - r->board->slots]);
	return true;
}

static bool end(struct run *r, struct cast_member *m, int result)
{
	go(r, m);
	for (;;) {
		uint32_t seen = r->board->news;
		if (m->slot->ended)
			return m->slot->result == result || fail(r, "it has ended otherwise");
		if (!look_again(r, seen))
			return false;
	}
}

static bool shoot(struct run *r, struct cast_member *m)
{
	int e = cast_kill(m, r->patience_ms);

	return e == 0 || fail(r, strerror(-e));
}

/* Of one that stands still it is known when the signal has been dealt with; any
 * other gets it when the kernel gives it to it. */
static bool raise_in(struct run *r, struct cast_member *m, int sig)
{
	struct board_slot *s = m->slot;
	bool stands = board_stands(s) && sig != SIGSTOP;
	uint32_t reached = s->reached;
	int e = cast_signal(m, sig);

	if (e < 0)
		return fail(r, strerror(-e));
	uint32_t nudge = board_nudge(s);
	while (stands) {
		uint32_t seen = r->board->news;
		if (s->answered == nudge || s->reached > reached || s->ended)
			break;
		if (!look_again(r, seen))
			return false;
	}
	return true;
}

static bool perform(struct run *r, const struct step *step)
{
	struct cast_member *m = step->actor ? member_of(r, step) : NULL;

	r->deadline = deadline_in(r->patience_ms);
	switch (step->act) {
	case UNTIL:
		return reach(r, m, false);
	case UNTIL_OR_END:
		return reach(r, m, true);
	case GO:
		return go(r, m);
	case FINISH:
		return end(r, m, step->value);
	case DIES:
		return end(r, m, -step->value);
	case KILL:
		return shoot(r, m);
	case SIGNAL:
		return raise_in(r, m, step->value);
	case SIGNAL_AT:
		return reach(r, m, false) && raise_in(r, m, step->value);
	case CHECK:
		return step->check(r->context) || fail(r, "it is not so");
	}
	return fail(r, "no such act");
}

/* --- the whole ------------------------------------------------------------- */

static bool has_point(const struct step *step)
{
	return step->act == UNTIL || step->act == UNTIL_OR_END || step->act == SIGNAL_AT;
}

/* What is wrong with the step in itself; NULL: nothing. */
static const char *wrong(const struct step *step, const struct actor *a)
{
	if (step->act == CHECK)
		return step->actor || !step->check ? "a CHECK has check() and no actor" : NULL;
	if (!a)
		return "no such actor";
	if (has_point(step) && (!step->point || strlen(step->point) >= BOARD_NAME))
		return "it needs a point, with a shorter name";
	if (a->kind == THREAD && (step->act == KILL || step->act == DIES))
		return "a thread does not die alone";
	if (a->kind == FOUND &&
	    (step->act == FINISH || step->act == DIES || step->act == UNTIL_OR_END))
		return "nobody sees the end of one that was FOUND";
	return NULL;
}

/* Fills the board. The step that is wrong, and why; -1: none. */
static int inscribe(struct board *b, const struct schedule *s, const char **why)
{
	for (const struct actor *a = s->actors; a < s->actors + SCHEDULE_ACTORS && a->kind; a++) {
		struct board_slot *slot = &b->slots[b->n_slots++];
		snprintf(slot->name, sizeof(slot->name), "%s", a->name);
		strcpy(slot->stops[slot->n_stops++], "its start");
		slot->found = a->kind == FOUND;
		slot->reached = slot->open = slot->found ? 1 : 0;
	}
	for (int i = 0; s->steps[i].act; i++) {
		const struct step *step = &s->steps[i];
		uint32_t at = 0;
		while (
		    step->actor && at < b->n_slots && strcmp(s->actors[at].name, step->actor) != 0)
			at++;
		*why = wrong(step, step->actor && at < b->n_slots ? &s->actors[at] : NULL);
		if (*why)
			return i;
		if (has_point(step)) {
			struct board_slot *slot = &b->slots[at];
			strcpy(slot->stops[slot->n_stops++], step->point);
		}
	}
	return -1;
}

static bool fail_before(const struct schedule *s, int step, const char *why)
{
	report(s, NULL, step, why);
	return false;
}

static bool perform_all(struct run *r)
{
	const struct schedule *s = r->schedule;

	for (int i = 0; s->steps[i].act; i++) {
		if (!perform(r, &s->steps[i])) {
			report(s, r->board, i, r->why);
			return false;
		}
	}
	return true;
}

/* The board of the last run lies until the next: a thread that was FOUND may be
 * on its way past a point of it. One that could not be cleared lies for ever. */
static struct board *left_behind;

static bool run_on(struct run *r, const char *path)
{
	const struct schedule *s = r->schedule;
	bool good;

	board_use(r->board);
	if (s->before && !s->before(r->context))
		return fail_before(s, -1, "before() failed");
	int e = cast_start(&r->cast, s, r->board, path, r->context);
	good = e == 0 ? perform_all(r) : fail_before(s, -1, strerror(-e));
	if (!cast_end(&r->cast, r->patience_ms)) {
		left_behind = NULL;
		good = fail_before(s, -1, "a thread does not end");
	}
	if (s->after && !s->after(r->context) && good)
		good = fail_before(s, -1, "after() failed");
	return good;
}

bool schedule_run(const struct schedule *s, void *context)
{
	static bool hooked;
	char path[64];
	struct run r = {
	    .schedule = s,
	    .context = context,
	    .patience_ms = s->patience_ms ? s->patience_ms : SCHEDULE_PATIENCE_MS,
	};
	const char *why;

	for (size_t i = 0; i < SCHEDULE_ACTORS; i++)
		r.next[i] = 1;
	board_free(left_behind);
	r.board = left_behind = board_new(path, sizeof(path));
	if (!r.board)
		return fail_before(s, -1, strerror(errno));
	int at = inscribe(r.board, s, &why);
	if (at >= 0)
		return fail_before(s, at, why);
	if (!hooked)
		hooks_set(board_point);
	hooked = true;
	return run_on(&r, path);
}

bool schedule_repeat(const struct schedule *s, int times, void *context)
{
	for (int i = 0; i < times; i++) {
		if (!schedule_run(s, context)) {
			fprintf(s->out ? s->out : stderr, "  in run %d of %d\n", i + 1, times);
			return false;
		}
	}
	return true;
}
