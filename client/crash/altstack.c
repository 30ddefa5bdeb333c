/*
 * sigaltstack(2) for the calling thread. Owns no memory. No interposable wrapper here: this runs on
 * threads that a sanitizer has not set up yet, or has already taken down.
 */
#include "altstack.h"

#include "kernel.h"

#include <sys/auxv.h>

size_t altstack_size(void)
{
	size_t page = getauxval(AT_PAGESZ), size = (64 << 10) + getauxval(AT_MINSIGSTKSZ);

	return (size + page - 1) / page * page;
}

bool altstack_present(void)
{
	stack_t now;

	return kernel(SYS_sigaltstack, NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE);
}

void altstack_set(void *stack)
{
	stack_t ours = {.ss_sp = stack, .ss_size = altstack_size()};

	kernel(SYS_sigaltstack, &ours, NULL);
}

bool altstack_unset(void *stack)
{
	stack_t now, none = {.ss_flags = SS_DISABLE};

	if (kernel(SYS_sigaltstack, NULL, &now) != 0 || (now.ss_flags & SS_DISABLE) ||
	    now.ss_sp != stack)
		return false;
	kernel(SYS_sigaltstack, &none, NULL);
	return true;
}
