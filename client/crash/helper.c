/*
 * One block of memory, in about ten system calls: every process of a tree pays for them.
 *
 *	struct helper, the path, the environment's copy: read-only, and so the guard below
 *	the alternate stack, where one was asked for
 */
#include "helper.h"

#include "altstack.h"
#include "environment.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

static __typeof__(((struct helper *)0)->clone) find_clone(void)
{
	void *libc = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD), *found = NULL;

	if (libc)
		found = dlsym(libc, "clone");
	return found ? (__typeof__(find_clone()))found : clone;
}

/* The environment's copy needs alignment, so the path comes last. */
static void fill(struct helper *helper, const char *path, char *const *env)
{
	char *after = (char *)(helper + 1) + environment_size(env);

	helper->envp = environment_copy(helper + 1, env);
	helper->path = path ? strcpy(after, path) : environment_get(helper->envp, "TTYLOCK_HELPER");
	helper->clone = find_clone();
}

struct helper *helper_new(const char *path, char *const *env, bool stack)
{
	size_t page = getauxval(AT_PAGESZ);
	size_t size = sizeof(struct helper) + environment_size(env) + (path ? strlen(path) + 1 : 0);
	bool wants_stack = stack && !altstack_present();
	char *block;

	size = (size + page - 1) / page * page;
	block = mmap(NULL, size + (wants_stack ? altstack_size() : 0), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (block == MAP_FAILED)
		return NULL;
	((struct helper *)block)->size = size;
	fill((struct helper *)block, path, env);
	mprotect(block, size, PROT_READ);
	if (wants_stack)
		altstack_set(block + size);
	return (struct helper *)block;
}

void helper_free(struct helper *helper)
{
	munmap(helper, helper->size);
}
