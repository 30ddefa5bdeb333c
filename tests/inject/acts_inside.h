/* What the acts have of each other. */
#ifndef TTYLOCK_TESTS_ACTS_INSIDE_H
#define TTYLOCK_TESTS_ACTS_INSIDE_H

#include <stdbool.h>

#include "acts.h"
#include "inject.h"

#define SECOND 1000
/* Of which one has to do. */
#define TRIES (INJECT_ORDERS + 1)

struct act {
	const char *name; /* NULL: the last of a table */
	void (*play)(void);
	bool leaves; /* what it installs stays */
};

extern const struct act acts_of_crashes[];
extern const struct acts_stage *stage;

/* What must not be has been seen. */
void acts_fault(const char *what);

/* A call of a public function, in which calls may fail. */
#define CALL(function, ...) acts_came(#function, (inject_arm(), function(__VA_ARGS__)))
int acts_came(const char *function, int r);

#endif
