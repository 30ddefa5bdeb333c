/* Each step is right, and between two steps is a moment that nobody thought of:
 * these carry a sync point. */
#include "kitchen.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "../../client/lib/deadline.h"
#include "sync_point.h"

struct kitchen_timer {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running, ending;
	int64_t rings; /* clock_ms() */
	void (*ring)(void *arg);
	void *arg;
	pthread_t thread;
};

static void wait_until(struct kitchen_timer *t, int64_t ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	pthread_cond_clockwait(&t->changed, &t->lock, CLOCK_MONOTONIC, &ts);
}

static void *tick(void *arg)
{
	struct kitchen_timer *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->ending) {
		if (!t->running) {
			pthread_cond_wait(&t->changed, &t->lock);
		} else if (clock_ms() < t->rings) {
			wait_until(t, t->rings);
		} else {
			t->running = false;
			pthread_mutex_unlock(&t->lock);
			SYNC_POINT("timer.expired");
			t->ring(t->arg);
			SYNC_POINT("timer.rung");
			pthread_mutex_lock(&t->lock);
		}
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static struct kitchen_timer *naive_new(void (*ring)(void *arg), void *arg)
{
	struct kitchen_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct kitchen_timer){
	    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .ring = ring, .arg = arg};
	errno = pthread_create(&t->thread, NULL, tick, t);
	if (errno) {
		free(t);
		return NULL;
	}
	return t;
}

static void naive_free(struct kitchen_timer *t)
{
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	free(t);
}

static bool is_running(struct kitchen_timer *t)
{
	pthread_mutex_lock(&t->lock);
	bool running = t->running;
	pthread_mutex_unlock(&t->lock);
	return running;
}

static int naive_start(struct kitchen_timer *t, int64_t ms)
{
	if (is_running(t))
		return -EBUSY;
	SYNC_POINT("timer.free-to-start");
	pthread_mutex_lock(&t->lock);
	t->running = true;
	t->rings = clock_ms() + ms;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static bool naive_stop(struct kitchen_timer *t)
{
	pthread_mutex_lock(&t->lock);
	bool running = t->running;
	t->running = false;
	t->rings = 0;
	pthread_mutex_unlock(&t->lock);
	return running;
}

static int64_t naive_remaining(struct kitchen_timer *t)
{
	if (!is_running(t))
		return -1;
	SYNC_POINT("timer.seen-running");
	pthread_mutex_lock(&t->lock);
	int64_t left = t->rings - clock_ms();
	pthread_mutex_unlock(&t->lock);
	return left;
}

const struct kitchen kitchen_naive = {
    .new = naive_new,
    .free = naive_free,
    .start = naive_start,
    .stop = naive_stop,
    .remaining = naive_remaining,
};
