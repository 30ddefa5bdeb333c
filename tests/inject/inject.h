/* inject: one call of one process fails, by order of another.
 *
 * Both share the page that inject points to. The wrappers (calls.py) ask before each
 * call; the process that is to fail arms itself.
 */
#ifndef TTYLOCK_TESTS_INJECT_H
#define TTYLOCK_TESTS_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#define INJECT_NONE  0
#define INJECT_CALLS 20000

struct inject {
	/* Order: the nth call (from 1; 0: none) fails with the which-th of its codes. */
	uint32_t nth, which;
	/* Report: what was called from where, and what failed. */
	uint32_t calls;
	uint32_t codes; /* that the failed call has */
	bool done;
	int code;
	struct {
		int name;
		const void *site;
	} called[INJECT_CALLS];
};

extern struct inject *inject;
/* A function that does not fail; NULL: each does. */
extern const char *inject_left_out;
extern const char *const inject_names[];

/* Makes the page. */
void inject_init(void);
/* Before a run: what is to fail. */
void inject_order(uint32_t nth, uint32_t which);
/* From here on calls of this process count. */
void inject_arm(void);
void inject_disarm(void);

int inject_call(int name, const void *site, const int *codes, uint32_t count);

#endif
