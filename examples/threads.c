/*
 * A thread crashes while three others go on working: each prints a line every 10 ms. Run it from a
 *terminal:
 *
 *	build/ttylock run -- build/examples/threads
 *
 * When the crash comes, the others stop in their tracks, however long it takes until the debugger
 *gets the terminal, and what you find there is the process as it was in that moment. Things to
 *type: info threads, thread apply all bt, print *job.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { TICKERS = 3, TICKS_BEFORE_THE_CRASH = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ticked = PTHREAD_COND_INITIALIZER;
static int ticks;

struct job {
	int number;
	int parts;
	int parts_done;
};

static void *ticker(void *arg)
{
	const char *name = arg;
	struct timespec pause_10ms = {0, 10 * 1000 * 1000};

	for (;;) {
		pthread_mutex_lock(&lock);
		printf("thread %s: tick %d\n", name, ++ticks);
		fflush(stdout);
		pthread_cond_signal(&ticked);
		pthread_mutex_unlock(&lock);
		nanosleep(&pause_10ms, NULL);
	}
	return NULL;
}

static int percent_done(const struct job *job)
{
	/* The crash: a job without parts is divided by zero. */
	return 100 * job->parts_done / job->parts;
}

static void *worker(void *arg)
{
	struct job *job = arg;

	pthread_mutex_lock(&lock);
	while (ticks < TICKS_BEFORE_THE_CRASH)
		pthread_cond_wait(&ticked, &lock);
	pthread_mutex_unlock(&lock);
	printf("job %d: %d%%\n", job->number, percent_done(job));
	return NULL;
}

int main(void)
{
	static char *names[TICKERS] = {"A", "B", "C"};
	struct job empty = {.number = 7};
	pthread_t id;

	for (int n = 0; n < TICKERS; n++)
		pthread_create(&id, NULL, ticker, names[n]);
	pthread_create(&id, NULL, worker, &empty);
	pthread_join(id, NULL);
	return 0;
}
