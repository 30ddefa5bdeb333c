/*
 * The environment's copy. Owns no memory: the constructor gives it a block and makes that read-only
 * afterwards. LD_PRELOAD stays behind, so that neither the helper nor the debugger runs with crash
 * handlers of its own.
 */
#include "environment.h"

#include <stdbool.h>
#include <string.h>

/* Bounds on what every exec of the tree copies. A helper misses nothing without somebody's 40 KiB
 * variable. */
enum { ENTRY_MAX = 32 << 10, TOTAL_MAX = 512 << 10 };

struct extent {
	size_t entries;
	size_t bytes;
};

/* Count entry in if it is to be copied. */
static bool keep(struct extent *so_far, const char *entry)
{
	size_t len = strlen(entry) + 1;

	if (strncmp(entry, "LD_PRELOAD=", 11) == 0)
		return false;
	if (strncmp(entry, "TTYLOCK_", 8) != 0 &&
	    (len > ENTRY_MAX || so_far->bytes + len > TOTAL_MAX))
		return false;
	so_far->entries++;
	so_far->bytes += len;
	return true;
}

static struct extent measure(char *const *from)
{
	struct extent all = {0};

	for (; *from; from++)
		keep(&all, *from);
	return all;
}

size_t environment_size(char *const *from)
{
	struct extent all = measure(from);

	return (all.entries + 1) * sizeof(char *) + all.bytes;
}

char **environment_copy(void *block, char *const *from)
{
	struct extent done = {0};
	char **envp = block, **next = envp;
	char *text = (char *)(envp + measure(from).entries + 1);

	for (; *from; from++) {
		char *to = text + done.bytes;

		if (keep(&done, *from))
			*next++ = memcpy(to, *from, text + done.bytes - to);
	}
	*next = NULL;
	return envp;
}

const char *environment_get(char *const *from, const char *name)
{
	size_t len = strlen(name);

	for (; *from; from++) {
		if (strncmp(*from, name, len) == 0 && (*from)[len] == '=')
			return *from + len + 1;
	}
	return NULL;
}
