#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MAX = 1024, SLOW_CALLS = 2 };

/* Of the linker: where the file's address 0 is. */
extern const char __executable_start[];

struct place {
	int name;
	const void *site;
	uint32_t calls, failures; /* calls: the most in one run */
	uint32_t tried, codes;	  /* a bit for each; 0: not known yet */
	int of_scene;		  /* the last one that comes to it with nothing failing */
};

static struct place places[PLACES_MAX];
static int place_count;
/* What has failed behind what. */
static bool followed[PLACES_MAX][PLACES_MAX];
static int runs, wrong;

static struct place *place_get(int name, const void *site)
{
	for (int i = 0; i < place_count; i++)
		if (places[i].site == site)
			return &places[i];
	if (place_count == PLACES_MAX)
		abort();
	places[place_count] = (struct place){.name = name, .site = site, .of_scene = -1};
	return &places[place_count++];
}

static struct place *place_in_run(uint32_t n)
{
	struct place *p = place_get(inject->place[n].name, inject->place[n].site);

	if (!inject->place[n].can_fail)
		p->tried = p->codes = 1;
	return p;
}

static bool is_done(const struct place *p)
{
	return p->codes && p->tried == (1u << p->codes) - 1;
}

static long offset_of(const void *site)
{
	return (long)((const char *)site - __executable_start);
}

static void show(const struct sweep *w, int scene, const struct inject_order *orders, int count,
    const char *fault)
{
	printf("not ok - %s", w->scenes[scene]);
	for (int i = 0; i < count; i++)
		printf(" %lx/%u/%u", offset_of(orders[i].site), orders[i].kth, orders[i].which);
	printf(": %s\n", fault);
	fflush(stdout);
}

/* Whether the last of the orders did fail. */
static bool play(const struct sweep *w, int scene, const struct inject_order *orders, int count)
{
	const struct inject_order *last = count ? &inject->order[count - 1] : NULL;

	inject_set(orders, count);
	const char *fault = w->play(scene, count == 0);
	runs += count > 0;
	if (last && last->codes) {
		struct place *p = place_get(last->name, last->site);

		p->codes = last->codes;
		p->failures += last->done;
		p->tried |= last->done ? 1u << last->which : 0;
	}
	if (fault) {
		wrong++;
		show(w, scene, orders, count, fault);
	}
	return last && last->done;
}

/* --- behind a failure ------------------------------------------------------------------ */

/* The places that it led to, and that are worth a run of their own. */
static int news(const struct sweep *w, int scene, const struct place *failed, struct place **out)
{
	int count = 0;

	for (uint32_t n = 0; n < inject->place_count; n++) {
		struct place *p = place_in_run(n);
		bool *once = &followed[failed - places][p - places];

		if (!inject->place[n].calls || p->of_scene == scene || p == failed ||
		    !inject->place[n].can_fail || (w->calls ? *once : is_done(p)))
			continue;
		*once = true;
		out[count++] = p;
	}
	return count;
}

/* Once: with one of its errors. */
static void explore(
    const struct sweep *w, int scene, struct inject_order *orders, int count, bool once)
{
	struct inject_order *last = &orders[count - 1];
	struct place *failed = place_get(last->name, last->site);
	uint32_t first = once ? (uint32_t)scene % failed->codes : 0, codes = first + 1;

	for (last->which = first; last->which < codes; last->which++) {
		struct place *found[PLACES_MAX];
		bool done = play(w, scene, orders, count);

		if (!once && failed->codes)
			codes = failed->codes;
		if (!done || count == INJECT_ORDERS)
			continue;
		int news_count = news(w, scene, failed, found);
		for (int i = 0; i < news_count; i++) {
			orders[count] = (struct inject_order){
			    .site = found[i]->site, .kth = 1, .name = found[i]->name};
			explore(w, scene, orders, count + 1, false);
		}
	}
}

/* --- all of it ----------------------------------------------------------------------------- */

/* Which of a place's calls fail: the i-th of c does where i * most / c steps up. */
static bool is_chosen(
    const struct sweep *w, int scene, const struct place *p, uint32_t call, uint32_t all)
{
	uint32_t most = w->calls;

	if (most == 0)
		return call == 1 && (!w->is_variant(scene) || !is_done(p));
	if (most > SLOW_CALLS && w->is_slow(scene))
		most = SLOW_CALLS;
	return all <= most || (call - 1) * most / all != call * most / all;
}

/* What the scene calls with nothing failing. */
static int base_places(const struct sweep *w, int scene, struct place **out, uint32_t *calls)
{
	int count = 0;

	play(w, scene, NULL, 0);
	for (uint32_t n = 0; n < inject->place_count; n++) {
		if (!inject->place[n].calls)
			continue;
		out[count] = place_in_run(n);
		out[count]->of_scene = scene;
		calls[count++] = inject->place[n].calls;
	}
	return count;
}

static void play_scene(const struct sweep *w, int scene)
{
	static struct place *base[PLACES_MAX];
	static uint32_t calls[PLACES_MAX];
	struct inject_order orders[INJECT_ORDERS];
	int count = base_places(w, scene, base, calls);
	uint32_t turn = 0;

	for (int i = 0; i < count; i++) {
		uint32_t share =
		    w->calls ? 0 : (uint32_t)offset_of(base[i]->site) * 2654435761u >> 16;

		if (calls[i] > base[i]->calls)
			base[i]->calls = calls[i];
		for (uint32_t call = 1; call <= calls[i]; call++) {
			/* The other share has it, or will have. */
			if ((w->calls ? turn++ : share) % w->shares != w->share ||
			    !is_chosen(w, scene, base[i], call, calls[i]))
				continue;
			orders[0] = (struct inject_order){
			    .site = base[i]->site, .kth = call, .name = base[i]->name};
			explore(w, scene, orders, 1, !w->calls && is_done(base[i]));
		}
	}
}

int sweep_run(const struct sweep *w)
{
	for (int i = 0; w->scenes[i]; i++) {
		int before = runs;

		play_scene(w, i);
		printf("scene %s: %d failures\n", w->scenes[i], runs - before);
	}
	for (int i = 0; i < place_count; i++) {
		const struct place *p = &places[i];

		printf("site %s %lx %u %u %x %u\n", inject_names[p->name], offset_of(p->site),
		    p->calls, p->failures, p->tried, p->codes);
	}
	printf("%d failures, %d of them went wrong\n", runs, wrong);
	return wrong;
}

static int name_of(const void *site)
{
	for (int i = 0; i < place_count; i++)
		if (places[i].site == site)
			return places[i].name;
	return INJECT_ANY;
}

int sweep_again(const struct sweep *w, int argc, char **argv)
{
	static struct place *base[PLACES_MAX];
	static uint32_t calls[PLACES_MAX];
	struct inject_order orders[INJECT_ORDERS] = {0};
	int count = 0, scene = 0;

	while (w->scenes[scene] && strcmp(w->scenes[scene], argv[0]) != 0)
		scene++;
	if (!w->scenes[scene] || argc > 1 + INJECT_ORDERS)
		return 64;
	base_places(w, scene, base, calls);
	for (int i = 1; i < argc; i++, count++) {
		struct inject_order *o = &orders[count];
		unsigned long offset;

		if (sscanf(argv[i], "%lx/%u/%u", &offset, &o->kth, &o->which) != 3)
			return 64;
		o->site = __executable_start + offset;
		o->name = name_of(o->site);
	}
	printf("%d failed: %d\n", count, play(w, scene, orders, count));
	return wrong;
}
