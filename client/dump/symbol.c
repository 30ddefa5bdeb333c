#include "symbol.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

/* --- names ------------------------------------------------------------------ */

static const char *last_part(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

/* A C++ name as it was written. Whoever dumps a C++ program has the library;
 * for all others it is no dependency. The result is to be freed. */
static char *demangle(const char *name)
{
	typedef char *demangle_fn(const char *, char *, size_t *, int *);
	static demangle_fn *known;
	static bool looked;
	int status;

	if (!name || strncmp(name, "_Z", 2) != 0)
		return NULL;
	if (!looked) {
		void *library = dlopen("libstdc++.so.6", RTLD_LAZY);
		known = library ? (demangle_fn *)dlsym(library, "__cxa_demangle") : NULL;
		looked = true;
	}
	return known ? known(name, NULL, NULL, &status) : NULL;
}

static const char *linkage_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		return dwarf_formstring(&attr);
	return NULL;
}

static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;

	return dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attr));
}

/* --- the unit --------------------------------------------------------------- */

/* Clang leaves out the table of which unit covers what, so its units have to be
 * asked one by one. */
static Dwarf_Die *unit_of(Dwfl_Module *mod, Dwarf_Addr pc, Dwarf_Addr *bias)
{
	Dwarf_Die *unit = dwfl_module_addrdie(mod, pc, bias);

	if (unit)
		return unit;
	while ((unit = dwfl_module_nextcu(mod, unit, bias)))
		if (dwarf_haspc(unit, pc - *bias) > 0)
			return unit;
	return NULL;
}

static void set_line(struct symbol *s, Dwarf_Die *unit, Dwarf_Addr pc)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, pc);

	if (line && dwarf_lineno(line, &s->line) == 0)
		s->file = last_part(dwarf_linesrc(line, NULL, NULL));
}

/* The line from which `inlined` was called, which is where the function that
 * it is in stands. */
static void set_call_line(struct symbol *s, Dwarf_Die *unit, Dwarf_Die *inlined)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word file, line;

	s->file = NULL;
	if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attr), &line) == 0 &&
	    dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attr), &file) == 0 &&
	    dwarf_getsrcfiles(unit, &files, NULL) == 0) {
		s->line = (int)line;
		s->file = last_part(dwarf_filesrc(files, file, NULL, NULL));
	}
}

/* --- the functions ---------------------------------------------------------- */

struct finding {
	struct symbol symbol;
	const char *linker_name; /* of the symbol table */
	void (*fn)(const struct symbol *s, void *arg);
	void *arg;
};

/* As gdb names it: the linker's name before the language's. */
static void tell(struct finding *f, Dwarf_Die *die)
{
	const char *linkage = die ? linkage_name(die) : f->linker_name;
	char *demangled = demangle(linkage);

	f->symbol.function = demangled ? demangled : linkage;
	if (!f->symbol.function && die)
		f->symbol.function = die_name(die);
	if (!f->symbol.function && !f->symbol.inlined)
		f->symbol.function = f->linker_name;
	f->fn(&f->symbol, f->arg);
	free(demangled);
}

static bool is_function(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
	       tag == DW_TAG_entry_point;
}

/* From the innermost scope at pc outwards. False: there is no function. */
static bool tell_scopes(struct finding *f, Dwarf_Die *unit, Dwarf_Addr pc)
{
	Dwarf_Die *scopes = NULL, *around = NULL, *inner = NULL;
	int count = dwarf_getscopes(unit, pc, &scopes), around_count = 0;
	bool told = false;

	/* dwarf_getscopes follows an inlined function to where it is written;
	 * where it was put is told by its own ancestors. */
	for (int i = 0; i < count && around_count <= 0; i++)
		if (is_function(&scopes[i]))
			around_count = dwarf_getscopes_die(&scopes[i], &around);
	for (int i = 0; i < around_count; i++) {
		Dwarf_Die *die = &around[i];
		if (!is_function(die))
			continue;
		if (inner)
			set_call_line(&f->symbol, unit, inner);
		f->symbol.inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
		tell(f, die);
		told = true;
		if (!f->symbol.inlined)
			break;
		inner = die;
	}
	free(scopes);
	free(around);
	return told;
}

static bool is_signal_trampoline(const char *name)
{
	return name && (!strcmp(name, "__restore_rt") || !strcmp(name, "__kernel_rt_sigreturn"));
}

void symbol_find(Dwfl *dwfl, Dwarf_Addr pc, bool exact, bool lines,
    void (*fn)(const struct symbol *s, void *arg), void *arg)
{
	/* A return address may be the next function's, or the next line's. */
	Dwarf_Addr at = exact ? pc : pc - 1, bias = 0;
	struct finding f = {.symbol = {.offset = pc}, .fn = fn, .arg = arg};
	Dwfl_Module *mod = dwfl_addrmodule(dwfl, at);
	const char *file = NULL;
	GElf_Off offset;
	GElf_Sym sym;

	if (!mod) {
		fn(&f.symbol, arg);
		return;
	}
	const char *name = dwfl_module_info(mod, NULL, NULL, NULL, NULL, NULL, &file, NULL);
	if (dwfl_module_getelf(mod, &bias))
		f.symbol.offset = pc - bias;
	f.symbol.module = last_part(file ? file : name);
	f.linker_name = dwfl_module_addrinfo(mod, at, &offset, &sym, NULL, NULL, NULL);
	/* The handler's return address is where this function begins. */
	f.symbol.signal = is_signal_trampoline(dwfl_module_addrname(mod, pc));
	if (f.symbol.signal)
		f.linker_name = "<signal handler called>";
	Dwarf_Die *unit = lines && !f.symbol.signal ? unit_of(mod, at, &bias) : NULL;
	if (unit)
		set_line(&f.symbol, unit, at - bias);
	if (!unit || !tell_scopes(&f, unit, at - bias))
		tell(&f, NULL);
}
