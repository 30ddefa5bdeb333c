/* bench: what the measuring programs share: the clock, one way to fail, and the
 * line that a figure is printed as. Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef TTYLOCK_BENCH_H
#define TTYLOCK_BENCH_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* error: an errno; 0: none. */
__attribute__((noreturn)) static inline void die(const char *what, int error)
{
	fprintf(stderr, "bench: %s%s%s\n", what, error ? ": " : "", error ? strerror(error) : "");
	exit(1);
}

/* Many times of one kind. What counts is their median: on a machine that does other
 * things as well, a mean is mostly about those. */
#define SERIES_MAX 4096

struct series {
	double ns[SERIES_MAX];
	unsigned n;
};

static inline void series_add(struct series *s, double ns)
{
	if (s->n < SERIES_MAX)
		s->ns[s->n++] = ns;
}

static inline int series_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double series_median(struct series *s)
{
	qsort(s->ns, s->n, sizeof(*s->ns), series_compare);
	double median = s->n ? s->ns[s->n / 2] : 0;
	s->n = 0;
	return median;
}

/* Of the same round: what one operation took, and what its reference took. */
static inline void sample(const char *row, unsigned n, unsigned round, double ns, double reference)
{
	printf("%s %u %u %.0f %.0f\n", row, n, round, ns, reference);
}

#endif
