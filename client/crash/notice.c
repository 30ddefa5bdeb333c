/*
 * One line, built by hand and written in one go: standard I/O is not for a process that has
 * crashed.
 */
#include "notice.h"

#include "decimal.h"
#include "kernel.h"

#include <string.h>
#include <sys/prctl.h>

struct line {
	char *at;
	char *end;
};

/* A name may hold anything, escape sequences too, and this goes to a terminal. */
static void add(struct line *line, const char *text)
{
	for (; *text && line->at < line->end; text++)
		*line->at++ = *text >= ' ' && *text <= '~' ? *text : '?';
}

void notice(char *buf, size_t size, const char *what, int error)
{
	struct line line = {buf, buf + size - 1};
	const char *why = strerrordesc_np(-error);
	char name[16] = "?", pid[DECIMAL_MAX];

	kernel(SYS_prctl, PR_GET_NAME, name);
	add(&line, "ttylock: ");
	add(&line, name);
	add(&line, " (pid ");
	add(&line, decimal(pid, syscall(SYS_getpid)));
	add(&line, "): ");
	add(&line, what);
	add(&line, ": ");
	add(&line, why ? why : "unknown error");
	*line.at++ = '\n';
	kernel(SYS_write, STDERR_FILENO, buf, line.at - buf);
}
