/* handle: what a struct ttylock of ttylock.h is. The parts of the library that take one
 * have it from here.
 */
#ifndef TTYLOCK_HANDLE_H
#define TTYLOCK_HANDLE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "inherit.h"
#include "link.h"
#include "ttylock.h"

struct taken;

struct ttylock {
	struct link *link;
	int tty;      /* a descriptor of the terminal, -1: none */
	int line;     /* another one for the hook, which does not wait there; -1: none */
	int terminal; /* its number on the link, -1: none */
	uint8_t under[INHERIT_TOKEN]; /* what we were started under; of under_size, or 0 */
	size_t under_size;
	int wake;	      /* an eventfd for dispatch: somebody else took in the news */
	pthread_mutex_t lock; /* for these three */
	int poll;	      /* an epoll descriptor of socket and wake; -1 until asked for */
	struct taken *taken;  /* how the terminal was before we took it; NULL */
	uint64_t taken_by;    /* the request under which it was */
	int interrupted;      /* atomic: ttylock_interrupt() was called */
};

#endif
