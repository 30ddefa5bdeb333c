/* The hook is hidden and exported by nobody, so it is looked up in the symbol
 * table that a file keeps until it is stripped. */
#include "hooks.h"

#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOOK "sync_point_hook"

struct search {
	void (*fn)(const char *name);
	int n;
};

/* The offset of the hook in a loaded file's memory; 0: it has none. */
static ElfW(Addr) find(const char *file)
{
	const ElfW(Ehdr) *head = (const void *)file;
	const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);

	for (int i = 0; i < head->e_shnum; i++) {
		if (sections[i].sh_type != SHT_SYMTAB)
			continue;
		const ElfW(Sym) *symbols = (const void *)(file + sections[i].sh_offset);
		const char *names = file + sections[sections[i].sh_link].sh_offset;

		for (size_t k = 0; k < sections[i].sh_size / sizeof(*symbols); k++)
			if (symbols[k].st_shndx != SHN_UNDEF &&
			    strcmp(names + symbols[k].st_name, HOOK) == 0)
				return symbols[k].st_value;
	}
	return 0;
}

static ElfW(Addr) find_in(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ElfW(Addr) at = 0;
	struct stat st;

	if (fd < 0)
		return 0; /* the kernel's own */
	if (fstat(fd, &st) == 0) {
		char *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (file != MAP_FAILED) {
			at = find(file);
			munmap(file, (size_t)st.st_size);
		}
	}
	close(fd);
	return at;
}

static int set_one(struct dl_phdr_info *info, size_t size, void *arg)
{
	ElfW(Addr) at = find_in(*info->dlpi_name ? info->dlpi_name : "/proc/self/exe");
	struct search *s = arg;

	(void)size;
	if (at != 0) {
		__atomic_store_n((void **)(info->dlpi_addr + at), (void *)s->fn, __ATOMIC_RELEASE);
		s->n++;
	}
	return 0;
}

int hooks_set(void (*fn)(const char *name))
{
	struct search s = {.fn = fn};

	dl_iterate_phdr(set_one, &s);
	return s.n;
}
