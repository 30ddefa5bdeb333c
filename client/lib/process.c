#include "process.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* A page of which every child has one of zeroes, whether the C library knew that it was
 * forked or not. */
static pid_t *page;

static pid_t *page_get(void)
{
	pid_t *known = __atomic_load_n(&page, __ATOMIC_ACQUIRE), *none = NULL;

	if (known)
		return known;
	void *made =
	    mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return NULL;
	if (madvise(made, sizeof(*known), MADV_WIPEONFORK) == 0 &&
	    __atomic_compare_exchange_n(&page, &none, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	munmap(made, sizeof(*known));
	return none; /* another thread's */
}

pid_t process_id(void)
{
	pid_t *known = page_get();
	pid_t pid = known ? __atomic_load_n(known, __ATOMIC_RELAXED) : 0;

	if (pid)
		return pid;
	pid = getpid();
	if (known)
		__atomic_store_n(known, pid, __ATOMIC_RELAXED);
	return pid;
}
