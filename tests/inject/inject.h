/* inject: calls of one process fail, by order of another.
 *
 * Both share the page that inject points to. The wrappers (calls.py) ask before each
 * call; the process that is to fail arms itself. A call is named by its place, the
 * address behind it, and by how many times it came from there: so it is the same one
 * in each run, whatever else was called before.
 */
#ifndef TTYLOCK_TESTS_INJECT_H
#define TTYLOCK_TESTS_INJECT_H

#include <stdbool.h>
#include <stdint.h>

enum {
	INJECT_NONE = -999999, /* what no function returns */
	INJECT_ANY = -1,       /* a name that is not known */
	INJECT_PLACES = 1024,
	INJECT_ORDERS = 3, /* each where only the failures before it lead to */
};

struct inject_order {
	/* The kth call (from 1; 0: none) from the place fails with the which-th of its codes.
	 * name: of what is called there, for two may be left by a jump. */
	const void *site;
	uint32_t kth, which;
	int name;
	/* Report: */
	uint32_t calls; /* from the place */
	uint32_t codes; /* that the failed call has */
	bool done;
	int code;
};

struct inject {
	struct inject_order order[INJECT_ORDERS];
	uint32_t calls; /* that count, of all places */
	/* In the order in which they were come to first. */
	uint32_t place_count;
	struct inject_place {
		const void *site;
		int name;
		uint32_t calls; /* 0: none after all */
		bool can_fail;
	} place[INJECT_PLACES];
	uint32_t slot[2 * INJECT_PLACES]; /* by a hash: which place, from 1; 0: free */
};

extern struct inject *inject;
extern const char *const inject_names[];

/* Makes the page. */
void inject_init(void);
/* Before a run: what is to fail, so many of the orders; and the report is empty. */
void inject_set(const struct inject_order *orders, int count);
/* From here on calls of this process count. */
void inject_arm(void);
void inject_disarm(void);
/* Whether those of the calling thread do not, while its siblings' do. */
void inject_spare(bool this_thread);

/* Whether any call is to fail, whether one did, and whether one of this name. */
bool inject_is_ordered(void);
bool inject_is_done(void);
const struct inject_order *inject_failed(const char *name);
/* Whether one of this name counted. */
bool inject_was_called(const char *name);
/* Before each call that counts; NULL. */
extern void (*inject_before)(const char *name);

int inject_call(int name, const void *site, const int *codes, uint32_t count);

#endif
