/*
 * The threads' alternate stacks, by way of pthread_create(). Owns one block of memory per thread:
 *
 *	page 0: what the thread is to run, read-only from before it starts, so that it is the
 *		guard page as well
 *	then:	the stack
 *
 * No malloc and no interposable wrapper here: this runs on threads that a sanitizer has not set up
 * yet, or has already taken down.
 */
#include "threads.h"

#include "../crash/altstack.h"
#include "../crash/kernel.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

struct thread {
	void *(*run)(void *);
	void *arg;
};

static bool enabled;

static size_t page_size(void)
{
	return getauxval(AT_PAGESZ);
}

void threads_enable(void)
{
	enabled = true;
}

static struct thread *thread_new(void *(*run)(void *), void *arg)
{
	size_t page = page_size();
	struct thread *thread = (void *)syscall(SYS_mmap, NULL, page + altstack_size(),
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (thread == MAP_FAILED)
		return NULL;
	*thread = (struct thread){run, arg};
	kernel(SYS_mprotect, thread, page, PROT_READ);
	return thread;
}

static void *thread_stack(struct thread *thread)
{
	return (char *)thread + page_size();
}

/* What thread_end() has to know. */
struct lease {
	struct thread *thread;
	bool set;
};

/* ASan unmaps whatever alternate stack it finds at a thread's end: of one that was ours, only the
 * first page is left. */
static void thread_end(void *arg)
{
	struct lease *lease = arg;
	bool whole = !lease->set || altstack_unset(thread_stack(lease->thread));

	kernel(SYS_munmap, lease->thread, page_size() + (whole ? altstack_size() : 0));
}

static void *thread_main(void *arg)
{
	struct thread *thread = arg;
	struct lease lease = {thread, !altstack_present()};
	void *result;

	if (lease.set)
		altstack_set(thread_stack(thread));
	pthread_cleanup_push(thread_end, &lease);
	result = thread->run(thread->arg);
	pthread_cleanup_pop(1);
	return result;
}

static create_fn *next_create(void)
{
	static _Atomic(create_fn *) known;
	create_fn *next = known;

	if (!next)
		known = next = (create_fn *)dlsym(RTLD_NEXT, "pthread_create");
	return next;
}

__attribute__((visibility("default"))) int pthread_create(
    pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	create_fn *create = next_create();
	struct thread *thread;
	int error;

	if (!create)
		return EAGAIN;
	thread = enabled ? thread_new(run, arg) : NULL;
	if (!thread)
		return create(id, attr, run, arg);
	error = create(id, attr, thread_main, thread);
	if (error)
		kernel(SYS_munmap, thread, page_size() + altstack_size());
	return error;
}
