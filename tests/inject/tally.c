#include "tally.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"

enum { NAMES_MAX = 160, SITES_MAX = 64 };

static struct {
	const void *sites[SITES_MAX];
	int site_count, calls, failures;
} tally[NAMES_MAX];

static void note_site(int name, const void *site)
{
	for (int i = 0; i < tally[name].site_count; i++)
		if (tally[name].sites[i] == site)
			return;
	if (tally[name].site_count < SITES_MAX)
		tally[name].sites[tally[name].site_count++] = site;
}

static void note_run(void)
{
	for (uint32_t n = 1; n <= inject->calls && n < INJECT_CALLS; n++)
		note_site(inject->called[n].name, inject->called[n].site);
	if (inject->done && inject->nth < INJECT_CALLS)
		tally[inject->called[inject->nth].name].failures++;
}

uint32_t tally_site_calls;

/* Which calls fail: a place's i-th of c does where i * most / c steps up. */
static void choose(bool *chosen, uint32_t calls)
{
	for (uint32_t n = 1; n <= calls; n++) {
		uint32_t before = 0, all = 0;

		for (uint32_t m = 1; m <= calls; m++) {
			if (inject->called[m].site != inject->called[n].site)
				continue;
			before += m < n;
			all++;
		}
		chosen[n] =
		    !tally_site_calls || all <= tally_site_calls ||
		    before * tally_site_calls / all != (before + 1) * tally_site_calls / all;
	}
}

int tally_run(int argc, char **argv, const char *(*play)(uint32_t nth, uint32_t which))
{
	uint32_t share = argc > 2 ? (uint32_t)atoi(argv[1]) : 0;
	uint32_t shares = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
	uint32_t only = argc == 2 ? (uint32_t)atoi(argv[1]) : 0;
	int runs = 0, wrong = 0;

	const char *fault = play(0, 0);
	if (fault) {
		printf("not ok - nothing fails, and yet: %s\n", fault);
		return 1;
	}
	uint32_t calls = inject->calls < INJECT_CALLS ? inject->calls : INJECT_CALLS - 1;
	static bool chosen[INJECT_CALLS];
	choose(chosen, calls);
	for (uint32_t n = 1; n <= calls; n++)
		tally[inject->called[n].name].calls++;
	note_run();
	for (uint32_t n = only ? only : 1; n <= (only ? only : calls); n++) {
		uint32_t codes = 1;

		if (!only && (!chosen[n] || n % shares != share))
			continue;
		for (uint32_t which = 0; which < codes; which++) {
			fault = play(n, which);
			codes = inject->codes ? inject->codes : codes;
			runs += inject->done;
			note_run();
			if (!fault)
				continue;
			wrong++;
			printf("not ok - call %u, %s, error %d, from %p: %s\n", n,
			    n < INJECT_CALLS ? inject_names[inject->called[n].name] : "?",
			    inject->code, inject->called[n].site, fault);
			fflush(stdout);
		}
	}
	for (int i = 0; inject_names[i] && i < NAMES_MAX; i++)
		if (tally[i].site_count)
			printf("reached %s %d %d %d\n", inject_names[i], tally[i].site_count,
			    tally[i].calls, tally[i].failures);
	printf("%u calls, %d failures, %d of them went wrong\n", calls, runs, wrong);
	return wrong;
}
