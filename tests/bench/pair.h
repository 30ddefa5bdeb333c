/* pair: two processes that hand something to each other, and how long it takes
 * from the one's letting go to the other's running with it.
 */
#ifndef TTYLOCK_BENCH_PAIR_H
#define TTYLOCK_BENCH_PAIR_H

#include <stdint.h>
#include <sys/types.h>

/* What is handed over. Both processes have one of each. */
struct baton {
	void (*take)(void *arg); /* waits until it is ours */
	void (*give)(void *arg);
	void (*taken)(void *arg); /* after the clock has stopped; or NULL */
	/* The other one is asleep in its take(): makes sure that it is next; or NULL. */
	void (*prepare)(void *arg);
	void *arg;
};

struct pair {
	pid_t other;
	int rx, tx;
	double *began; /* in memory of both */
};

/* Memory of this process and those that it forks. */
void *pair_shared(size_t size);
/* Forks. Returns 0 in the child; either has its half in *p. */
pid_t pair_fork(struct pair *p);
/* For commands to the child: it ends, or a number. */
void pair_command(struct pair *p, uint32_t command);
uint32_t pair_await(struct pair *p);
/* Hands it over so many times, an even number, the one that has it first giving it; both
 * call it. Returns the median of those that this process took. */
double pair_pass(struct pair *p, const struct baton *b, unsigned times, int has_it);

#endif
