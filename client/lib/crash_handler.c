/* The crash handlers for programs that link the library. Where the preloaded
 * library is in the process too, its handlers are the ones. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../crash/altstack.h"
#include "../crash/crash.h"
#include "../preload/preload.h"
#include "atfork.h"
#include "export.h"
#include "ready.h"
#include "ttylock.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER; /* behind it */

/* --- fork ----------------------------------------------------------------- */

static void before_fork(void)
{
	atfork_take(&lock);
	atfork_take(&key_lock);
}

static void after_fork_parent(void)
{
	atfork_give(&key_lock);
	atfork_give(&lock);
}

static void after_fork_child(void)
{
	atfork_inherit(&key_lock);
	atfork_inherit(&lock);
}

static struct atfork on_fork = {before_fork, after_fork_parent, after_fork_child, NULL, false};

/* --- alternate stacks ----------------------------------------------------- */

static pthread_key_t stack_key;
static bool has_key;

static size_t guard_size(void)
{
	return getauxval(AT_PAGESZ);
}

static void free_stack(void *stack)
{
	altstack_unset(stack);
	munmap((char *)stack - guard_size(), guard_size() + altstack_size());
}

/* By whoever is the first that it can be made for. */
static int make_key(void)
{
	int r = atfork_register(&on_fork);

	if (r < 0)
		return r;
	atfork_lock(&key_lock);
	if (!has_key)
		r = -pthread_key_create(&stack_key, free_stack);
	has_key = r == 0;
	atfork_unlock(&key_lock);
	return r;
}

EXPORT int ttylock_crash_handler_thread(void)
{
	size_t size = guard_size() + altstack_size();

	if (altstack_present())
		return 0;
	int r = make_key();
	if (r < 0)
		return r;
	/* The program may have taken away the one that we gave it. */
	char *stack = pthread_getspecific(stack_key);
	if (!stack) {
		char *block = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
		if (block == MAP_FAILED)
			return -ENOMEM;
		mprotect(block, guard_size(), PROT_NONE);
		stack = block + guard_size();
		if (pthread_setspecific(stack_key, stack) != 0) {
			munmap(block, size);
			return -ENOMEM;
		}
	}
	altstack_set(stack);
	return 0;
}

/* --- on and off ----------------------------------------------------------- */

static int turn_on(void)
{
	const struct helper *helper;
	int r = ttylock_preload_crash ? ttylock_preload_crash(0, true) : -ENOENT;

	/* Preloaded, but not by `ttylock run`. */
	if (r != -ENOENT)
		return r;
	r = ready_helper(&helper);
	if (r == 0)
		r = ttylock_crash_handler_thread();
	if (r == 0)
		crash_install(helper);
	return r;
}

EXPORT int ttylock_crash_handler_install(void)
{
	const char *given = getenv("TTYLOCK_CRASH");

	if (given && strcmp(given, "off") == 0)
		return 0;
	int r = atfork_register(&on_fork);
	if (r < 0)
		return r;
	atfork_lock(&lock);
	r = turn_on();
	atfork_unlock(&lock);
	return r;
}

EXPORT int ttylock_crash_handler_set(bool on)
{
	int r = atfork_register(&on_fork);

	if (r < 0)
		return r;
	atfork_lock(&lock);
	if (on) {
		r = turn_on();
	} else {
		if (ttylock_preload_crash)
			ttylock_preload_crash(0, false);
		crash_remove(0);
	}
	if (r == 0 && setenv("TTYLOCK_CRASH", on ? "on" : "off", 1) < 0)
		r = -errno;
	atfork_unlock(&lock);
	return r;
}
