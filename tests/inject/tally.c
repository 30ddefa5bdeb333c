#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"

enum { PLACES_MAX = 1000, TRIES = 8, SHARES_OF_ALL = 2 };

/* Of the linker: where the file's address 0 is. */
extern const char __executable_start[];

struct place {
	int name;
	const void *site;
	int calls, failures;
	uint32_t tried, codes;
	/* The failures that lead there, of which none may be needed. */
	struct inject_order behind[INJECT_ORDERS - 1];
	int behind_count;
};

static struct place places[PLACES_MAX];
static int place_count, runs, wrong;
static const char *(*play)(void);

uint32_t tally_site_calls;
bool tally_goes_deep;

static struct place *place_of(int name, const void *site)
{
	for (int i = 0; i < place_count; i++)
		if (places[i].site == site && places[i].name == name)
			return &places[i];
	if (place_count == PLACES_MAX)
		abort();
	places[place_count] = (struct place){.name = name, .site = site};
	return &places[place_count++];
}

static uint32_t calls_of_run(void)
{
	return inject->calls < INJECT_CALLS ? inject->calls : INJECT_CALLS;
}

static void note_failures_before(struct place *p)
{
	for (int i = 0; i < INJECT_ORDERS - 1; i++)
		if (inject->order[i].done)
			p->behind[p->behind_count++] = inject->order[i];
}

static void note_run(void)
{
	for (uint32_t n = 0, calls = calls_of_run(); n < calls; n++) {
		int before = place_count;
		struct place *p = place_of(inject->called[n].name, inject->called[n].site);

		p->calls += !inject_is_ordered();
		if (inject->called[n].is_safe)
			p->tried = p->codes = 1;
		if (place_count > before)
			note_failures_before(p);
	}
	for (int i = 0; i < INJECT_ORDERS; i++) {
		const struct inject_order *o = &inject->order[i];

		if (!o->codes)
			continue;
		struct place *p = place_of(o->name, o->site);
		p->codes = o->codes;
		p->failures += o->done;
		p->tried |= o->done ? 1u << o->which : 0;
	}
}

static void complain(const struct inject_order *orders, int count, const char *fault)
{
	wrong++;
	printf("not ok -");
	for (int i = 0; i < count; i++)
		printf(" %s at %lx, call %u, error %d%s", inject_names[orders[i].name],
		    (unsigned long)((const char *)orders[i].site - __executable_start),
		    orders[i].kth, inject->order[i].code, i + 1 < count ? " and" : "");
	printf(": %s\n", fault);
	fflush(stdout);
}

/* The last of the orders with each of its errors. What else there is on the machine may
 * lead another way: then once more. */
static void fail(struct inject_order *orders, int count)
{
	struct inject_order *last = &orders[count - 1];
	uint32_t codes = 1;

	for (last->which = 0; last->which < codes; last->which++) {
		const char *fault = NULL;
		bool done = false;

		for (int try = 0; try < TRIES && !done && !fault; try++) {
			inject_set(orders, count);
			fault = play();
			done = inject->order[count - 1].done;
			note_run();
		}
		codes = inject->order[count - 1].codes ? inject->order[count - 1].codes : codes;
		runs += done;
		if (fault)
			complain(orders, count, fault);
	}
}

static void fail_behind(const struct place *p)
{
	struct inject_order orders[INJECT_ORDERS];

	memcpy(orders, p->behind, sizeof(p->behind));
	orders[p->behind_count] = (struct inject_order){.name = p->name, .site = p->site, .kth = 1};
	fail(orders, p->behind_count + 1);
}

/* --- which calls fail ----------------------------------------------------------- */

struct call {
	struct inject_order order;
	bool is_chosen;
};

static struct call calls[INJECT_CALLS];
static uint32_t call_count;

/* A place's i-th of c where i * most / c steps up. */
static void choose(void)
{
	for (uint32_t n = 0; n < call_count; n++) {
		struct inject_order *o = &calls[n].order;
		uint32_t before = 0, all = 0;

		o->name = inject->called[n].name;
		o->site = inject->called[n].site;
		for (uint32_t m = 0; m < call_count; m++) {
			if (inject->called[m].site != o->site)
				continue;
			before += m < n;
			all++;
		}
		o->kth = before + 1;
		calls[n].is_chosen =
		    !inject->called[n].is_safe &&
		    (!tally_site_calls || all <= tally_site_calls ||
			before * tally_site_calls / all != (before + 1) * tally_site_calls / all);
	}
}

static void show_places(void)
{
	for (int i = 0; i < place_count; i++) {
		const struct place *p = &places[i];

		printf("site %s %lx %d %d %x %u\n", inject_names[p->name],
		    (unsigned long)((const char *)p->site - __executable_start), p->calls,
		    p->failures, p->tried, p->codes);
	}
	printf("%u calls, %d failures, %d of them went wrong\n", call_count, runs, wrong);
}

int tally_run(int argc, char **argv, const char *(*player)(void))
{
	uint32_t share = argc > 2 ? (uint32_t)atoi(argv[1]) : 0;
	uint32_t shares = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
	uint32_t only = argc == 2 ? (uint32_t)atoi(argv[1]) : 0;

	play = player;
	inject_set(NULL, 0);
	const char *fault = play();
	if (fault) {
		printf("not ok - nothing fails, and yet: %s\n", fault);
		return 1;
	}
	call_count = calls_of_run();
	choose();
	note_run();
	for (uint32_t n = 0; n < call_count; n++)
		if (only ? n + 1 == only : calls[n].is_chosen && n % shares == share)
			fail(&calls[n].order, 1);
	/* More of them are found on the way. Not in a sample. */
	bool goes_deep = tally_goes_deep && !only && shares <= SHARES_OF_ALL;
	for (int i = 0; i < place_count && goes_deep; i++)
		if (!places[i].calls && !places[i].tried)
			fail_behind(&places[i]);
	show_places();
	return wrong;
}
