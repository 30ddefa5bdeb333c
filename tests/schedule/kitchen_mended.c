/* Question and answer under one lock, and ringing is a state of its own, which
 * stop() waits for. */
#include "kitchen.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "../../client/lib/deadline.h"
#include "sync_point.h"

enum state { STOPPED, RUNNING, RINGING };

struct kitchen_timer {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum state state;
	bool again; /* started anew from ring() */
	bool ending;
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

/* Called and left with the lock held. */
static void expire(struct kitchen_timer *t)
{
	t->state = RINGING;
	t->again = false;
	pthread_mutex_unlock(&t->lock);
	SYNC_POINT("timer.expired");
	t->ring(t->arg);
	SYNC_POINT("timer.rung");
	pthread_mutex_lock(&t->lock);
	t->state = t->again ? RUNNING : STOPPED;
	pthread_cond_broadcast(&t->changed);
}

static void *tick(void *arg)
{
	struct kitchen_timer *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->ending) {
		if (t->state != RUNNING)
			pthread_cond_wait(&t->changed, &t->lock);
		else if (clock_ms() < t->rings)
			wait_until(t, t->rings);
		else
			expire(t);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static struct kitchen_timer *mended_new(void (*ring)(void *arg), void *arg)
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

static void mended_free(struct kitchen_timer *t)
{
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	free(t);
}

static bool in_ring(const struct kitchen_timer *t)
{
	return pthread_equal(pthread_self(), t->thread);
}

static bool is_running(const struct kitchen_timer *t)
{
	return t->state == RUNNING || (t->state == RINGING && t->again);
}

/* With the lock held. Only ring() itself need not wait for ring(). */
static void await_rung(struct kitchen_timer *t)
{
	if (t->state != RINGING || in_ring(t))
		return;
	/* With the lock in hand: a schedule lets it GO before it expects anything
	 * of anybody else. */
	SYNC_POINT("timer.stop-waits");
	while (t->state == RINGING)
		pthread_cond_wait(&t->changed, &t->lock);
}

static int mended_start(struct kitchen_timer *t, int64_t ms)
{
	int r = -EBUSY;

	pthread_mutex_lock(&t->lock);
	if (!is_running(t)) {
		if (t->state == RINGING)
			t->again = true;
		else
			t->state = RUNNING;
		t->rings = clock_ms() + ms;
		pthread_cond_broadcast(&t->changed);
		r = 0;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

static bool mended_stop(struct kitchen_timer *t)
{
	pthread_mutex_lock(&t->lock);
	bool running = is_running(t);
	t->again = false;
	if (t->state == RUNNING)
		t->state = STOPPED;
	await_rung(t);
	pthread_mutex_unlock(&t->lock);
	return running;
}

static int64_t mended_remaining(struct kitchen_timer *t)
{
	pthread_mutex_lock(&t->lock);
	int64_t left = is_running(t) ? t->rings - clock_ms() : -1;
	if (is_running(t) && left < 0)
		left = 0; /* due, and about to ring */
	pthread_mutex_unlock(&t->lock);
	return left;
}

const struct kitchen kitchen_mended = {
    .new = mended_new,
    .free = mended_free,
    .start = mended_start,
    .stop = mended_stop,
    .remaining = mended_remaining,
};
