/* What the acts have of each other. */
#ifndef TTYLOCK_TESTS_ACTS_INSIDE_H
#define TTYLOCK_TESTS_ACTS_INSIDE_H

#include <pthread.h>
#include <stdbool.h>
#include <ttylock.h>

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

extern const struct act acts_of_crashes[], acts_of_others[], acts_of_threads[];
extern const struct acts_stage *stage;

/* What must not be has been seen. */
void acts_fault(const char *what);

/* A call of a public function, in which calls may fail. */
#define CALL(function, ...) acts_came(#function, (inject_arm(), function(__VA_ARGS__)))
int acts_came(const char *function, int r);
/* The same, and calls go on to count. */
int acts_told(const char *function, int r);

/* The driver does it. */
void acts_ask(char what);

/* NULL, false: what has to do did not, which is a fault. */
struct ttylock *acts_opened(int tty);
bool acts_granted(struct ttylock *t, const struct ttylock_wish *wish, uint64_t *id);
bool acts_begin(pthread_t *id, void *(*run)(void *), void *arg);
/* It is granted: so nobody else has it. */
void acts_holds(void);
void acts_released(struct ttylock *t, uint64_t id);
void acts_closed(struct ttylock *t);

/* How many wait for the terminal. */
int acts_waiters(int tty);

#endif
