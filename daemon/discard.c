#include "discard.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

/* Closings that may hang at a time. Whoever provokes more of them costs us a
 * descriptor each, but no thread and no waiting. */
#define DISCARD_MAX 64

static atomic_int busy;

static void *discard_thread(void *arg)
{
	close((int)(intptr_t)arg);
	atomic_fetch_sub(&busy, 1);
	return NULL;
}

void discard(int fd)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	if (atomic_fetch_add(&busy, 1) >= DISCARD_MAX) {
		atomic_fetch_sub(&busy, 1);
		return;
	}
	/* Signals are for the event loop's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_attr_init(&attr);
	if (rc == 0) {
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, 64 * 1024);
		rc = pthread_create(&thread, &attr, discard_thread, (void *)(intptr_t)fd);
		pthread_attr_destroy(&attr);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		atomic_fetch_sub(&busy, 1);
		close(fd);
	}
}
