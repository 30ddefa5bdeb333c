/*
 * The start of every process of a tree: what a crash will need is set aside while the process is
 * whole. `ttylock run` puts this library into LD_PRELOAD and says in the environment:
 *
 *	TTYLOCK_HELPER  the absolute path of the ttylock command; without it, nothing happens here
 *	TTYLOCK_CRASH   "off" leaves this part of the tree alone
 */
#include "../crash/crash.h"
#include "../crash/environment.h"
#include "preload.h"
#include "threads.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static struct helper *helper;

static int turn_on(void)
{
	const char *path;

	if (getauxval(AT_SECURE) || !environ)
		return -EPERM;
	path = environment_get(environ, "TTYLOCK_HELPER");
	if (!helper && (!path || *path != '/'))
		return -ENOENT;
	if (!helper)
		helper = helper_new(NULL, environ, true);
	if (!helper)
		return -ENOMEM;
	threads_enable();
	crash_install(helper);
	return 0;
}

int ttylock_preload_crash(int sig, bool on)
{
	if (on)
		return turn_on();
	crash_remove(sig);
	return 0;
}

__attribute__((constructor)) static void preload_init(void)
{
	const char *off = environ ? environment_get(environ, "TTYLOCK_CRASH") : NULL;

	if (!off || strcmp(off, "off") != 0)
		turn_on();
}
