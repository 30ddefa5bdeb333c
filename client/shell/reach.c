/* By its file: the loader that reads LD_PRELOAD is named in an ELF header. Looked for as
 * execvp(3) does, but nothing is executed. */
#include "reach.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

/* Of a program that is one for this machine's own word size. */
static bool has_loader(int fd, const ElfW(Ehdr) * head)
{
	for (int i = 0; i < head->e_phnum; i++) {
		ElfW(Phdr) segment;
		off_t at = (off_t)(head->e_phoff + (size_t)i * head->e_phentsize);

		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment) ||
		    segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* The loader itself names none. */
static bool is_loader(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strncmp(slash ? slash + 1 : name, "ld", 2) == 0;
}

/* Open for reading; -1. */
static int open_program(const char *name)
{
	const char *dir = strchr(name, '/') ? "" : getenv("PATH");
	char path[PATH_MAX];

	if (dir && !*dir)
		return open(name, O_RDONLY | O_CLOEXEC);
	for (; dir; dir = strchr(dir, ':') ? strchr(dir, ':') + 1 : NULL) {
		int len = (int)strcspn(dir, ":");

		snprintf(path, sizeof(path), "%.*s/%s", len, len ? dir : ".", name);
		if (access(path, X_OK) == 0)
			return open(path, O_RDONLY | O_CLOEXEC);
	}
	return -1;
}

const char *reach_missed(const char *name)
{
	const char *why = NULL;
	ElfW(Ehdr) head;
	struct stat st;

	int fd = open_program(name);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && pread(fd, &head, sizeof(head), 0) == sizeof(head) &&
	    memcmp(head.e_ident, ELFMAG, SELFMAG) == 0) {
		if (((st.st_mode & S_ISUID) && st.st_uid != getuid()) ||
		    ((st.st_mode & S_ISGID) && st.st_gid != getgid()))
			why = "it is set-user-ID";
		else if (head.e_ident[EI_CLASS] != OWN_CLASS)
			why = "it is a program of another word size";
		else if (!has_loader(fd, &head) && !is_loader(name))
			why = "it is statically linked";
	}
	close(fd);
	return why;
}
