/* links: tests/schedule/theatre.o -l:libprotobuf-nanopb.a */
/* Whatever happens to one who acquires and releases, at whatever moment of it:
 * the next one is granted, and nothing is left. B has the terminal first; A asks
 * for it, and gets it when B is done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schedule.h"
#include "stage.h"
#include "ttylock.h"
#include "turn.h"

#define EXITS 7

struct moment {
	const char *point;
	bool granted;  /* the daemon has given A the terminal */
	bool released; /* and has it back */
};

static const struct moment moments[] = {
    {"acquire.asked"},
    {"acquire.waits"},
    {"acquire.granted-not-read", .granted = true},
    {"acquire.heard", .granted = true},
    {"acquire.done", .granted = true},
    {"release.begun", .granted = true},
    {"request.ended-shielded", .granted = true, .released = true},
};

struct event {
	const char *title;
	struct step waiting[4]; /* what happens while A waits, and */
	struct step granted[4]; /* from when it need not wait any more; none: the same */
	enum act act;		/* how A ends then */
	int value;
	bool shield;	  /* A asks behind one */
	bool holder_dies; /* B has no end of its own */
	bool daemon_dies;
	int error; /* A's acquire may return this as well */
};

static const struct event *event;
static const struct moment *moment;

/* --- A, B and C ------------------------------------------------------------ */

static struct ttylock *handle;
static uint64_t request;
static volatile sig_atomic_t interrupts, child_status;

static void on_interrupt(int sig)
{
	(void)sig;
	interrupts++;
}

static void on_exit_signal(int sig)
{
	(void)sig;
	_exit(EXITS);
}

static void on_fork_signal(int sig)
{
	int status;

	(void)sig;
	pid_t child = fork();
	if (child == 0)
		_exit(turn_of_child(handle, request));
	child_status = waitpid(child, &status, 0) == child ? status : -1;
}

static void handle_signals(void)
{
	static const struct sigaction actions[NSIG] = {
	    [SIGINT] = {.sa_handler = on_interrupt},
	    [SIGUSR1] = {.sa_handler = on_fork_signal},
	    [SIGUSR2] = {.sa_handler = on_exit_signal},
	    [SIGSEGV] = {.sa_handler = SIG_DFL},
	};
	static const int signals[] = {SIGINT, SIGUSR1, SIGUSR2, SIGSEGV};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &actions[signals[i]], NULL);
}

/* SIGINT while nobody has the terminal goes on to the handler of before. */
static int check_handler(void)
{
	struct sigaction now;

	sigaction(SIGINT, NULL, &now);
	ACTOR_EXPECT(now.sa_handler == on_interrupt);
	ACTOR_EXPECT(interrupts == (event->shield && moment->released));
	return 0;
}

static int first(void *context)
{
	struct ttylock_wish wish = {.task_name = "A", .shield = event->shield};

	(void)context;
	handle_signals();
	ACTOR_EXPECT(ttylock_open(&handle, stage_terminal(), 0) == 0);
	int r = ttylock_acquire(handle, &wish, -1, &request);
	ACTOR_EXPECT(r == 0 || r == event->error);
	if (r == 0) {
		ACTOR_EXPECT(ttylock_release(handle, request) == 0);
	}
	ACTOR_EXPECT(ttylock_release(handle, request) == -ENOENT);
	ttylock_close(handle);
	ACTOR_EXPECT(child_status == 0);
	return check_handler();
}

static int holder(void *context)
{
	struct ttylock_wish wish = {.task_name = "B"};
	struct ttylock *t;
	uint64_t id;

	(void)context;
	ACTOR_EXPECT(ttylock_open(&t, stage_terminal(), 0) == 0);
	ACTOR_EXPECT(ttylock_acquire(t, &wish, -1, &id) == 0);
	SYNC_POINT("turn.held");
	ACTOR_EXPECT(ttylock_release(t, id) == 0);
	ttylock_close(t);
	return 0;
}

/* --- what happens ---------------------------------------------------------- */

static const struct event interrupted = {
    .title = "Ctrl-C behind a shield",
    .waiting = {{"A", SIGNAL, .value = SIGINT}},
    .act = FINISH,
    .shield = true,
};

static const struct event crashes = {
    .title = "a crash",
    .waiting = {{"A", SIGNAL, .value = SIGSEGV}},
    .act = DIES,
    .value = SIGSEGV,
};

static const struct event exits = {
    .title = "the end without a release",
    .waiting = {{"A", SIGNAL, .value = SIGUSR2}},
    .act = FINISH,
    .value = EXITS,
};

static const struct event forks = {
    .title = "a fork",
    .waiting = {{"A", SIGNAL, .value = SIGUSR1}},
    .act = FINISH,
};

static const struct event peer_dies = {
    .title = "the holder's death, or a waiter's",
    .waiting = {{"B", KILL}},
    .granted = {{"C", UNTIL, "acquire.asked"}, {"C", KILL}},
    .act = FINISH,
    .holder_dies = true,
};

static const struct event is_forced = {
    .title = "a release by force",
    .waiting = {{NULL, CHECK, "B is made to release", .check = holder_is_forced}},
    .granted = {{NULL, CHECK, "A is made to release", .check = holder_is_forced}},
    .act = FINISH,
    .error = -ECANCELED,
};

static const struct event daemon_dies = {
    .title = "the daemon's death, and the next one",
    .waiting = {{"daemon", KILL}, {"next", UNTIL, "server.ready"}, {"next", GO}},
    .act = FINISH,
    .daemon_dies = true,
};

/* --- the whole ------------------------------------------------------------- */

struct composition {
	struct schedule schedule;
	char title[128];
	size_t n_actors, n_steps;
};

static void add_actor(struct composition *w, struct actor a)
{
	w->schedule.actors[w->n_actors++] = a;
}

static void add_step(struct composition *w, struct step s)
{
	w->schedule.steps[w->n_steps++] = s;
}

static void add_steps(struct composition *w, const struct step *s)
{
	for (; s->act; s++)
		add_step(w, *s);
}

static void compose_granted(struct composition *w, const struct event *e, const struct moment *m)
{
	add_step(w, (struct step){"A", UNTIL, "acquire.waits"});
	add_step(w, (struct step){"B", FINISH});
	add_step(
	    w, (struct step){NULL, CHECK, "the daemon has granted it to A", .check = A_is_granted});
	add_step(w, (struct step){"A", UNTIL, m->point});
	add_steps(w, e->granted->act ? e->granted : e->waiting);
}

static void compose_waiting(struct composition *w, const struct event *e, const struct moment *m)
{
	add_step(w, (struct step){"A", UNTIL, m->point});
	add_steps(w, e->waiting);
	if (!e->holder_dies)
		add_step(w, (struct step){"B", FINISH});
}

static void compose(struct composition *w, const struct event *e, const struct moment *m)
{
	memset(w, 0, sizeof(*w));
	snprintf(w->title, sizeof(w->title), "%s at %s", e->title, m->point);
	w->schedule.title = w->title;
	w->schedule.before = stage_enter;
	w->schedule.after = e->daemon_dies ? stage_is_left : stage_is_clear;
	add_actor(w, (struct actor){"A", PROCESS, .run = first});
	add_actor(w, (struct actor){"B", PROCESS, .run = holder});
	if (e->holder_dies && m->granted)
		add_actor(w, (struct actor){"C", PROCESS, .run = C_takes_a_turn});
	if (e->daemon_dies) {
		add_actor(w, (struct actor){"daemon", PROGRAM, .argv = stage_daemon});
		add_step(w, (struct step){"daemon", UNTIL, "server.ready"});
		add_step(w, (struct step){"daemon", GO});
		add_actor(w, (struct actor){"next", PROGRAM, .argv = stage_daemon});
		add_actor(w, (struct actor){"D", PROCESS, .run = C_takes_a_turn});
	}
	add_step(w, (struct step){"B", UNTIL, "turn.held"});
	(m->granted ? compose_granted : compose_waiting)(w, e, m);
	add_step(w, (struct step){"A", e->act, .value = e->value});
	if (e->daemon_dies)
		add_step(w, (struct step){"D", FINISH});
}

static void test_event(void **state)
{
	static struct composition w;

	event = *state;
	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
		moment = &moments[i];
		/* Nobody has it any more, so nobody can be made to release it. */
		if (event == &is_forced && moment->released)
			continue;
		compose(&w, event, moment);
		/* An outage takes a while by design. */
		int times = event->daemon_dies ? stage_repeats() / 50 + 1 : stage_repeats();
		assert_true(schedule_repeat(&w.schedule, times, NULL));
	}
}

static int set_up(void **state)
{
	(void)state;
	return stage_set_up(true);
}

static int set_up_without_daemon(void **state)
{
	(void)state;
	return stage_set_up(false);
}

static int tear_down(void **state)
{
	(void)state;
	return stage_tear_down();
}

#define EVENT(name)                                                                                \
	{                                                                                          \
#name, test_event, NULL, NULL, (void *)&name                                       \
	}

int main(void)
{
	const struct CMUnitTest with_daemon[] = {
	    EVENT(interrupted),
	    EVENT(crashes),
	    EVENT(exits),
	    EVENT(forks),
	    EVENT(peer_dies),
	    EVENT(is_forced),
	};
	const struct CMUnitTest without[] = {
	    EVENT(daemon_dies),
	};

	int failed = cmocka_run_group_tests(with_daemon, set_up, tear_down);
	return failed + cmocka_run_group_tests(without, set_up_without_daemon, tear_down);
}
