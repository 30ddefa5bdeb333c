/* unwind: the frames of a stopped process's threads, as addresses.
 *
 * Nothing is named here: a process is held still for no longer than it takes to
 * walk its stacks.
 */
#ifndef DUMP_UNWIND_H
#define DUMP_UNWIND_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stop.h"

/* Of a deeper stack the first and the last frames are kept. */
#define UNWIND_TOP    200
#define UNWIND_BOTTOM 50
/* A stack that is deeper still is taken for a broken one. */
#define UNWIND_MAX 1000000

struct unwound_frame {
	Dwarf_Addr pc;
	bool exact; /* pc itself was to be executed, rather than returned to */
};

struct unwound_thread {
	pid_t tid;
	/* The first UNWIND_TOP, then a ring of the rest. */
	struct unwound_frame frames[UNWIND_TOP + UNWIND_BOTTOM];
	size_t count;	   /* how many there are in all */
	bool guessed;	   /* it did not stop: what the kernel shows of it */
	const char *error; /* why it ends early; NULL */
};

struct unwind {
	Dwfl *dwfl;
	const struct stop *stop;
	struct unwound_thread *threads; /* as stop->threads */
	size_t count;
	int64_t deadline;
	/* Of the process's memory, what was read last. */
	uint64_t page;
	size_t page_len;
	uint8_t page_bytes[4096];
};

/* Reads in which files the process is made of. 0; -errno; -EIO: libdwfl. */
int unwind_open(struct unwind *u, const struct stop *stop, int64_t deadline_ms);

/* Walks all threads. 0, -ENOMEM. */
int unwind_threads(struct unwind *u);

/* How many frames of a thread are kept, and the n-th of them; *number is its
 * place in the whole stack. */
size_t unwind_kept(const struct unwound_thread *t);
const struct unwound_frame *unwind_frame(const struct unwound_thread *t, size_t n, size_t *number);

void unwind_close(struct unwind *u);

#endif
