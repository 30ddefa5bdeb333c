/* symbol: what a program counter means: function, source line, module and
 * offset, and the functions that the compiler put into others there. */
#ifndef DUMP_SYMBOL_H
#define DUMP_SYMBOL_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

struct symbol {
	const char *function; /* NULL: unknown */
	const char *file;     /* NULL: unknown; the last part of its name */
	int line;
	const char *module; /* likewise; NULL: no file is mapped there */
	uint64_t offset;    /* in the module, as addr2line(1) takes it; else the pc */
	bool inlined;	    /* into the next one */
	bool signal;	    /* the kernel's call of a signal handler */
};

/* Calls fn for the function at pc and for each that it is inlined into, from
 * within. exact as in unwound_frame. lines: look for lines too, which may take
 * long in a large program. The texts live until fn returns. */
void symbol_find(Dwfl *dwfl, Dwarf_Addr pc, bool exact, bool lines,
    void (*fn)(const struct symbol *s, void *arg), void *arg);

#endif
