/*
 * The start of every process of a tree: what a crash will need is set aside while the process is
 *whole, in about ten system calls. `ttylock run` puts this library into LD_PRELOAD and says in the
 *environment:
 *
 *	TTYLOCK_HELPER  the absolute path of the ttylock command; without it, nothing happens here
 *	TTYLOCK_CRASH   "off" leaves this part of the tree alone
 *
 * One block of memory: the environment's copy, read-only, which is the guard below the first
 *thread's alternate stack as well.
 */
#include "altstack.h"
#include "crash.h"
#include "environment.h"
#include "spawn.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

static struct helper helper;

static void find_clone(void)
{
	void *libc = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD), *found = NULL;

	if (libc)
		found = dlsym(libc, "clone");
	helper.clone = found ? (__typeof__(helper.clone))found : clone;
}

static void prepare(void)
{
	bool wants_stack = !altstack_present();
	size_t page = getauxval(AT_PAGESZ);
	size_t size = (environment_size(environ) + page - 1) / page * page;
	char *block = mmap(NULL, size + (wants_stack ? altstack_size() : 0), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (block == MAP_FAILED)
		return;
	helper.envp = environment_copy(block, environ);
	helper.path = environment_get(helper.envp, "TTYLOCK_HELPER");
	find_clone();
	mprotect(block, size, PROT_READ);
	if (wants_stack)
		altstack_set(block + size);
	altstack_enable();
	crash_install(&helper);
}

__attribute__((constructor)) static void preload_init(void)
{
	const char *off, *path;

	if (getauxval(AT_SECURE) || !environ)
		return;
	path = environment_get(environ, "TTYLOCK_HELPER");
	off = environment_get(environ, "TTYLOCK_CRASH");
	if (path && *path == '/' && !(off && strcmp(off, "off") == 0))
		prepare();
}
