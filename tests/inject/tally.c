#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"

enum {
	PLACES_MAX = 1000,
	PLACE_CALLS = 24, /* /proc is looked through, and has any number of processes */
	TRIES = 8,
	SHARES_OF_ALL = 2, /* more: a sample */
	BASE_RUNS = 3,	   /* what is not the same in each is in one of them */
};

/* Of the linker: where the file's address 0 is. */
extern const char __executable_start[];

struct place {
	int name;
	const void *site;
	uint32_t calls; /* the most of a run in which nothing fails */
	int failures;
	uint32_t tried, codes;
	bool can_fail;
	/* The failures that lead there, of which none may be needed. */
	struct inject_order behind[INJECT_ORDERS - 1];
	int behind_count;
};

static struct place places[PLACES_MAX];
static int place_count, runs, wrong;
static uint32_t share, shares;
static const char *(*play)(void);

static unsigned long offset_of(const void *site)
{
	return (unsigned long)((const char *)site - __executable_start);
}

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

static void note_failures_before(struct place *p)
{
	for (int i = 0; i < INJECT_ORDERS - 1; i++)
		if (inject->order[i].done)
			p->behind[p->behind_count++] = inject->order[i];
}

static void note_run(void)
{
	for (uint32_t n = 0; n < inject->place_count; n++) {
		const struct inject_place *there = &inject->place[n];
		int before = place_count;

		if (!there->calls)
			continue;
		struct place *p = place_of(there->name, there->site);
		if (!inject_is_ordered() && there->calls > p->calls)
			p->calls = there->calls;
		p->can_fail = p->can_fail || there->can_fail;
		if (place_count > before)
			note_failures_before(p);
	}
	for (int i = 0; i < INJECT_ORDERS; i++) {
		const struct inject_order *o = &inject->order[i];

		if (!o->codes)
			continue;
		struct place *p = place_of(o->name, o->site);
		p->can_fail = true;
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
		printf(" %lx/%u/%u", offset_of(orders[i].site), orders[i].kth, orders[i].which);
	printf(": %s (", fault);
	for (int i = 0; i < count; i++)
		printf("%s%s %d", i ? ", " : "",
		    orders[i].name < 0 ? "nothing" : inject_names[orders[i].name],
		    inject->order[i].code);
	printf(")\n");
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

/* A place's i-th of c where i * most / c steps up. */
static bool is_chosen(uint32_t call, uint32_t all)
{
	const uint32_t most = PLACE_CALLS;

	return all <= most || (call - 1) * most / all != call * most / all;
}

/* By the place alone, so that all who share agree on it, whatever else is called. */
static bool is_ours(const struct place *p, uint32_t call)
{
	uint32_t hash = (uint32_t)offset_of(p->site) * 2654435761u >> 16;

	return (hash + call) % shares == share;
}

static void fail_each(void)
{
	for (int i = 0, count = place_count; i < count; i++) {
		const struct place *p = &places[i];
		struct inject_order order = {.site = p->site, .name = p->name};

		while (p->can_fail && order.kth++ < p->calls)
			if (is_chosen(order.kth, p->calls) && is_ours(p, order.kth))
				fail(&order, 1);
	}
}

static void show_places(void)
{
	for (int i = 0; i < place_count; i++) {
		struct place *p = &places[i];

		if (!p->can_fail)
			p->tried = p->codes = 1;
		printf("site %s %lx %u %d %x %u\n", inject_names[p->name], offset_of(p->site),
		    p->calls, p->failures, p->tried, p->codes);
	}
	printf("%d failures, %d of them went wrong\n", runs, wrong);
}

int tally_run(int argc, char **argv, const char *(*player)(void))
{
	share = argc > 2 ? (uint32_t)atoi(argv[1]) : 0;
	shares = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
	play = player;
	bool is_whole = shares <= SHARES_OF_ALL;
	for (int i = 0; i < (is_whole ? BASE_RUNS : 1); i++) {
		inject_set(NULL, 0);
		const char *fault = play();
		if (fault) {
			printf("not ok - nothing fails, and yet: %s\n", fault);
			return 1;
		}
		note_run();
	}
	fail_each();
	for (int i = 0; i < place_count && is_whole; i++) /* and those found on the way */
		if (places[i].can_fail && !places[i].tried &&
		    (!places[i].calls || is_ours(&places[i], 1)))
			fail_behind(&places[i]);
	show_places();
	return wrong;
}

int tally_again(int argc, char **argv, const char *(*player)(void))
{
	struct inject_order orders[INJECT_ORDERS] = {0};
	unsigned long offset;
	int count = 0;

	if (argc > INJECT_ORDERS)
		return 64;
	for (; count < argc; count++) {
		struct inject_order *o = &orders[count];

		if (sscanf(argv[count], "%lx/%u/%u", &offset, &o->kth, &o->which) != 3)
			return 64;
		o->site = __executable_start + offset;
		o->name = INJECT_ANY;
	}
	inject_set(orders, count);
	const char *fault = player();
	if (fault)
		complain(inject->order, count, fault);
	printf("%d failed: %d\n", count, inject->order[count - 1].done);
	return fault != NULL;
}
