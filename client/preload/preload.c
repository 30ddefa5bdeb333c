/*
 * The start of every process of a tree: what a crash will need is set aside while the process is
 * whole. `ttylock run` puts this library into LD_PRELOAD and says in the environment:
 *
 *	TTYLOCK_HELPER  the absolute path of the ttylock command; without it, nothing happens here
 *	TTYLOCK_CRASH   "off": no crash handlers in this part of the tree
 *	TTYLOCK_STACK_DUMP   "off": no stack dump on SIGUSR1 there
 */
#include "../crash/crash.h"
#include "../crash/environment.h"
#include "../crash/stack_dump.h"
#include "preload.h"
#include "threads.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static struct helper *helper;

static int prepare(void)
{
	const char *path;

	if (getauxval(AT_SECURE) || !environ)
		return -EPERM;
	path = environment_get(environ, "TTYLOCK_HELPER");
	if (!helper && (!path || *path != '/'))
		return -ENOENT;
	if (!helper)
		helper = helper_new(NULL, environ, true);
	return helper ? 0 : -ENOMEM;
}

static int turn_on(void)
{
	int r = prepare();

	if (r == 0) {
		threads_enable();
		crash_install(helper);
	}
	return r;
}

int ttylock_preload_crash(int sig, bool on)
{
	if (on)
		return turn_on();
	crash_remove(sig);
	return 0;
}

int ttylock_preload_stack_dump(void)
{
	int r = prepare();

	return r == 0 ? stack_dump_install(helper) : r;
}

static bool is_off(const char *name)
{
	const char *value = environ ? environment_get(environ, name) : NULL;

	return value && strcmp(value, "off") == 0;
}

__attribute__((constructor)) static void preload_init(void)
{
	if (!is_off("TTYLOCK_CRASH"))
		turn_on();
	if (!is_off("TTYLOCK_STACK_DUMP"))
		ttylock_preload_stack_dump();
}
