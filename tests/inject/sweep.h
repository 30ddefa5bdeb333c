/* sweep: plays each scene once for each call in it and each of that call's errors; and
 * where a failure leads to places that the scene does not come to else, those fail as
 * well, behind it.
 */
#ifndef TTYLOCK_TESTS_SWEEP_H
#define TTYLOCK_TESTS_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "inject.h"

struct sweep {
	const char *const *scenes; /* names, NULL at the end */
	/* One run, with what inject was told to let fail: NULL, or what is wrong. base: nothing
	 * is to fail. */
	const char *(*play)(int scene, bool base);
	/* Every call, a place's at most so often in a scene, spread evenly. 0: once,
	 * and with each error only in the first scene that comes to the place. */
	uint32_t calls;
	/* A scene that takes long: in two of its calls at most. One that is much like another:
	 * where calls is 0, only at places that the others do not come to. */
	bool (*is_slow)(int scene);
	bool (*is_variant)(int scene);
	uint32_t share, shares; /* only these of all runs */
};

/* Prints what went wrong, as `not ok - SCENE ADDRESS/CALL/WHICH...: why`, and for each
 * place a line `site NAME ADDRESS CALLS FAILURES TRIED CODES`, as tally.h. Returns how many
 * runs went wrong. */
int sweep_run(const struct sweep *w);

/* Again one of those that went wrong: `SCENE ADDRESS/CALL/WHICH...`, as it was printed. */
int sweep_again(const struct sweep *w, int argc, char **argv);

#endif
