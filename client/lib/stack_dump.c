/* The stack dump on SIGUSR1 for programs that link the library. Where the
 * preloaded library is in the process too, its handler is the one. */
#include "../crash/stack_dump.h"

#include <errno.h>

#include "../preload/preload.h"
#include "export.h"
#include "ready.h"
#include "ttylock.h"

EXPORT int ttylock_stack_dump_install(void)
{
	const struct helper *helper;
	int r = ttylock_preload_stack_dump ? ttylock_preload_stack_dump() : -ENOENT;

	/* Preloaded, but not by `ttylock run`. */
	if (r != -ENOENT)
		return r;
	r = ready_helper(&helper);
	return r < 0 ? r : stack_dump_install(helper);
}
