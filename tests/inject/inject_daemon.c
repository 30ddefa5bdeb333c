/* Every call of the daemon's that can fail does so, in each scene (scenes.c) and with each
 * of its errors: no crash, no leak, no hang and no second holder; and afterwards it serves
 * whoever comes. One daemon for each, in a fork; where it could not even start, the next
 * one finds what this one has left. */
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "inject.h"
#include "scenes.h"
#include "stage.h"
#include "sweep.h"
#include "../outside.h"
#include "twist.h"

enum { SETTLED_MS = 100 };

static const struct scene *played[SCENES_MAX];
static int descriptors; /* of an idle daemon, in this scene */

/* Whoever comes afterwards is served at once. */
static const char *afterwards(void)
{
	struct players all;
	const char *fault = NULL;

	/* The one that the failure hits may be this one. */
	for (int tries = 0; tries < 3; tries++) {
		players_begin(&all);
		struct player *p = player_connect(&all, stage.socket);
		if (!p)
			return "nobody listens any more";
		player_open(p, 1, stage.tty[1]);
		int request = player_lock(p, 4711, 1, NULL);
		players_sync(&all);
		fault = all.fault   ? all.fault
			: p->fd < 0 ? "turned away"
			: p->requests[request].state != ttylock_State_STATE_GRANTED
			    ? "never granted"
			    : NULL;
		players_end(&all);
		if (!fault)
			return NULL;
	}
	return fault;
}

/* Of one who has had the time to close what it was asked to. */
static int descriptors_settled(pid_t daemon)
{
	int least = outside_descriptors(daemon);

	for (int i = 0; i < SETTLED_MS; i++) {
		int n = outside_descriptors(daemon);

		least = n < least ? n : least;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return least;
}

/* What is kept of a dead one goes when a new one comes, if it could be looked at. */
static void bring_new_terminal(void)
{
	struct players one;
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		abort();
	players_begin(&one);
	struct player *p = player_connect(&one, stage.socket);
	if (p) {
		player_open(p, 0, slave);
		players_sync(&one);
	}
	players_end(&one);
	close(slave);
	close(master);
}

static const char *settles(pid_t daemon)
{
	for (int i = 0; i < 1000; i++) {
		int n = outside_descriptors(daemon);

		if (descriptors == 0 || n <= descriptors)
			return NULL;
		if (i == SETTLED_MS)
			bring_new_terminal();
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	printf("# %d descriptors, idle it has %d\n", outside_descriptors(daemon), descriptors);
	return "descriptors leak";
}

/* Its loop, which only ends it, with an error, but in good order. */
static bool loop_fails(void)
{
	for (int i = 0; i < INJECT_ORDERS; i++)
		if (inject->order[i].kth && inject->order[i].name != INJECT_ANY &&
		    !strcmp(inject_names[inject->order[i].name], "event_base_dispatch"))
			return true;
	return false;
}

/* By itself, which may take its time. */
static bool goes_out(pid_t daemon)
{
	for (int i = 0; i < PLAYER_DEADLINE_MS / 2; i++) {
		if (outside_is_over(daemon, 2))
			return true;
		twist_skip(1000);
	}
	return false;
}

static const char *act(const struct scene *s, pid_t daemon, bool base)
{
	struct players all;

	if (loop_fails())
		return outside_is_over(daemon, PLAYER_DEADLINE_MS) ? NULL : "it goes on";
	players_begin(&all);
	if (s->play)
		s->play(&all, daemon);
	const char *fault = all.fault;
	players_end(&all);
	if (s->end == STAGE_ENDS)
		return !fault && !goes_out(daemon) ? "it goes on" : fault;
	fault = fault ? fault : afterwards();
	if (base)
		descriptors = descriptors_settled(daemon);
	fault = fault ? fault : settles(daemon);
	return fault ? fault : outside_is_over(daemon, 0) ? "it has ended" : NULL;
}

/* Once it has served, or ended before. */
static const char *play_once(const struct scene *s, bool armed, bool base, bool *served)
{
	int ready;
	pid_t daemon = stage_daemon(s, armed, &ready);

	*served = stage_serves(s, daemon, ready);
	close(ready);
	const char *fault = *served && s->end != STAGE_YIELDS ? act(s, daemon, base) : NULL;
	if (scene_is_lied_to())
		fault = NULL;
	const char *end = stage_daemon_end(daemon, *served && !loop_fails());
	return fault ? fault : end;
}

static void log_show(void)
{
	char line[512];
	FILE *f = fopen(stage_path(".log"), "r");

	while (f && fgets(line, sizeof(line), f))
		printf("# %s", line);
	if (f)
		fclose(f);
}

static const char *play(int number, bool base)
{
	const struct scene *s = played[number];
	bool served;

	if (base)
		descriptors = 0;
	twist_off();
	twist_skip(0);
	unlink(stage_path(".ledger"));
	if (s->before)
		s->before();
	const char *fault = play_once(s, true, base, &served);
	if (served && s->end == STAGE_YIELDS && !scene_is_lied_to())
		fault = "a second one serves";
	if (!fault && !served && base && s->end != STAGE_YIELDS)
		fault = "it does not serve";
	if (!fault && !served && s->end != STAGE_YIELDS) {
		fault = play_once(s, false, false, &served);
		if (!fault && !served)
			fault = "the next one cannot start";
	}
	if (fault)
		log_show();
	if (s->behind)
		s->behind();
	return fault;
}

static bool is_slow(int number)
{
	return played[number]->is_slow;
}

static bool is_variant(int number)
{
	return played[number]->is_variant;
}

int main(int argc, char **argv)
{
	static const char *names[SCENES_MAX + 1];
	const char *only = getenv("INJECT_SCENE");
	struct sweep sweep = {.scenes = names,
	    .play = play,
	    .is_slow = is_slow,
	    .is_variant = is_variant,
	    .shares = 1};
	int failures;

	inject_init();
	stage_make();
	scenes_make();
	for (int i = 0, n = 0; i < SCENES_MAX && scenes[i].name; i++) {
		if (only && strcmp(only, scenes[i].name) != 0)
			continue;
		if (scenes[i].needs_root && !stage.is_private) {
			printf("skipped %s: it needs root\n", scenes[i].name);
			continue;
		}
		played[n] = &scenes[i];
		names[n++] = scenes[i].name;
	}
	if (argc == 4 && strcmp(argv[1], "--again") != 0) { /* CALLS SHARE SHARES */
		sweep.calls = (uint32_t)atoi(argv[1]);
		sweep.share = (uint32_t)atoi(argv[2]);
		sweep.shares = (uint32_t)atoi(argv[3]);
		failures = sweep_run(&sweep);
	} else {
		failures = argc > 2 ? sweep_again(&sweep, argc - 2, argv + 2) : 64;
	}
	scenes_end();
	stage_end();
	return failures ? 1 : 0;
}
