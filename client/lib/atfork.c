#include "atfork.h"

#include <signal.h>
#include <stdint.h>

/* Static storage: a handler must not be the first to ask for it. */
#define OF_THREAD static __thread __attribute__((tls_model("initial-exec")))

OF_THREAD volatile sig_atomic_t locked; /* outside of fork(), counted too early rather */
OF_THREAD volatile sig_atomic_t seized; /* by a fork() that goes on */
OF_THREAD volatile sig_atomic_t waits;	/* that fork() may */
OF_THREAD volatile uint64_t taken;	/* a bit for each atfork_take(), the last lowest */

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct atfork *first;
static bool is_registered;
static bool left_all; /* in a child: fork() has not come to take any */

void atfork_lock(pthread_mutex_t *m)
{
	locked++;
	pthread_mutex_lock(m);
}

void atfork_unlock(pthread_mutex_t *m)
{
	pthread_mutex_unlock(m);
	locked--;
}

bool atfork_seize(pthread_mutex_t *m)
{
	seized++;
	if ((waits ? pthread_mutex_lock(m) : pthread_mutex_trylock(m)) == 0)
		return true;
	seized--;
	return false;
}

void atfork_return(pthread_mutex_t *m)
{
	pthread_mutex_unlock(m);
	seized--;
}

static void push(bool got)
{
	taken = taken << 1 | got;
}

static bool pop(void)
{
	bool got = taken & 1;

	taken >>= 1;
	return got;
}

bool atfork_take(pthread_mutex_t *m)
{
	bool got = atfork_seize(m);

	push(got);
	return got;
}

bool atfork_has(void)
{
	return !left_all && (taken & 1);
}

bool atfork_give(pthread_mutex_t *m)
{
	bool got = !left_all && pop();

	if (got)
		atfork_return(m);
	return got;
}

const void *atfork_self(void)
{
	return (const void *)&locked;
}

/* One that is unlocked by whoever has not locked it says so, and stays as it is. */
static void renew(pthread_mutex_t *m)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(m, &attr);
	pthread_mutexattr_destroy(&attr);
}

void atfork_inherit(pthread_mutex_t *m)
{
	if (!atfork_give(m))
		renew(m);
}

void atfork_inherit_from(pthread_mutex_t *m, const void *taker)
{
	if (taker == atfork_self())
		atfork_return(m);
	else
		renew(m);
}

/* --- fork() ------------------------------------------------------------------- */

static void prepare(void)
{
	waits = locked == 0 && seized == 0;
	bool got = atfork_seize(&registry);
	for (const struct atfork *a = first; got && a; a = a->next)
		a->prepare();
	push(got);
}

static void each_backwards(const struct atfork *a, bool in_child)
{
	if (!a)
		return;
	each_backwards(a->next, in_child);
	in_child ? a->child() : a->parent();
}

static void parent(void)
{
	if (!pop())
		return;
	each_backwards(first, false);
	atfork_return(&registry);
}

static void child(void)
{
	bool got = pop();

	left_all = !got;
	each_backwards(first, true);
	left_all = false;
	if (got)
		atfork_return(&registry);
	else
		renew(&registry);
}

int atfork_register(struct atfork *a)
{
	int r = 0;

	if (__atomic_load_n(&a->done, __ATOMIC_ACQUIRE))
		return 0;
	atfork_lock(&registry);
	if (!is_registered)
		r = -pthread_atfork(prepare, parent, child);
	is_registered = r == 0;
	if (r == 0 && !a->done) {
		a->next = first;
		first = a;
		__atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
	}
	atfork_unlock(&registry);
	return r;
}
