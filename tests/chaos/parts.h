/* parts: which part each process of a storm plays, and how it may end.
 *
 * Shared memory, by pid: a process tells it when it begins, and whoever waits for it reads it.
 */
#ifndef CHAOS_PARTS_H
#define CHAOS_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct part_end {
	pid_t pid;
	bool fair;     /* it may end like that */
	char what[96]; /* for people: its part, its program and its end */
};

void parts_init(void);

/* The caller plays this from now on. */
__attribute__((format(printf, 1, 2))) void part_begin(const char *format, ...);
/* Of one that was not waited for yet; NULL: none, like a daemon. */
const char *part_name(pid_t pid);
/* The caller ends by a signal, as it is meant to. */
void part_crashes(void);

/* Waits for any child, options being waitid(2)'s. False: there is none, or none that has
 * ended. */
bool part_await(int options, struct part_end *out);

#endif
