/* The ttylock command. What is run most starts at once; the others are in libraries of
 * ours, by what they need: to load readline and elfutils takes longer than to take a
 * free terminal. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beside.h"
#include "command.h"

#define RUN   "libttylock-run.so"
#define SHELL "libttylock-shell.so" /* all commands are there */

static const struct command *const here[] = {
    &command_exec, &command_debug, &command_cancel, &command_next, &command_skip, &command_wait};
static const char *const in_run[] = {"run", "status", "release", "trace"};

/* A set-user-ID program may have been linked to where others put files beside it. *path
 * becomes that of the very file that was looked at. */
static int secure(char path[PATH_MAX])
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	snprintf(path, PATH_MAX, "/proc/self/fd/%d", fd);
	return 0;
}

/* NULL, after a complaint. */
static void *load(const char *library, const char *symbol)
{
	char path[PATH_MAX];

	int r = beside_find(library, path);
	if (r == 0 && getauxval(AT_SECURE))
		r = secure(path);
	if (r < 0) {
		complain(0, "%s, a part of this program: %s", library, strerror(-r));
		return NULL;
	}
	void *at = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	at = at ? dlsym(at, symbol) : NULL;
	if (!at)
		complain(0, "%s", dlerror());
	return at;
}

static int run_loaded(int argc, char **argv)
{
	char symbol[64];

	snprintf(symbol, sizeof(symbol), "command_%s", argv[0]);
	const struct command *c = load(RUN, symbol);
	return c ? command_main(c, argc, argv) : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		puts("ttylock " TTYLOCK_VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++)
		if (!strcmp(name, here[i]->name))
			return command_main(here[i], argc - 1, argv + 1);
	for (size_t i = 0; i < sizeof(in_run) / sizeof(*in_run); i++)
		if (!strcmp(name, in_run[i]))
			return run_loaded(argc - 1, argv + 1);

	__typeof__(ttylock_main) *all;
	*(void **)&all = load(SHELL, "ttylock_main");
	return all ? all(argc, argv) : EXIT_FAILED;
}
