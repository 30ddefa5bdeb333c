#include "debugger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "../lib/procfs.h"

/* In single quotes, each one inside as '\''. */
static void put_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
	fputc('\'', out);
}

static char *expand(const char *format, pid_t pid)
{
	char exe[PATH_MAX], *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return NULL;
	procfs_exe(pid, exe, sizeof(exe));
	for (; *format; format++) {
		if (format[0] != '%' || !format[1]) {
			fputc(*format, out);
			continue;
		}
		switch (*++format) {
		case 'p':
			fprintf(out, "%d", (int)pid);
			break;
		case 'e':
			put_quoted(out, exe);
			break;
		case '%':
			fputc('%', out);
			break;
		default:
			fprintf(out, "%%%c", *format);
		}
	}
	return fclose(out) == 0 ? line : NULL;
}

/* Attaching by a command rather than by -p, so that what scrolls by is short
 * and never asks for <RET>: the person's own settings hold from the prompt on. */
#define QUIETLY                                                                                    \
	"with pagination off -- with print symbol-loading off -- with print thread-events off -- "

/* gdb keeps SIGTRAP from the program unless told otherwise: then leaving gdb
 * would let one go on that would have died of it. */
#define PASS_TRAP "with confirm off -- pipe handle SIGTRAP pass | cat >/dev/null"

/* $bpnum is void as long as the person has set no breakpoint or watchpoint. The
 * skip is for "step" at the breakpoint's line. */
static const char at_breakpoint[] = "pipe skip -rfunction ^ttylock_breakpoint_ | cat >/dev/null\n"
				    "define hook-continue\n"
				    "if $_isvoid($bpnum)\n"
				    "detach\n"
				    "quit\n"
				    "end\n"
				    "end\n";

/* gdb opens it by its number, after exec: so not close-on-exec. */
static int make_script(struct debugger *d)
{
	d->script = memfd_create("ttylock-breakpoint", 0);
	if (d->script < 0 || write(d->script, at_breakpoint, sizeof(at_breakpoint) - 1) < 0)
		return -errno;
	snprintf(d->script_path, sizeof(d->script_path), "/proc/self/fd/%d", d->script);
	return 0;
}

static int init_gdb(struct debugger *d, pid_t pid, int crashed, bool breakpoint)
{
	if (asprintf(&d->line, QUIETLY "with print frame-info short-location -- attach %d",
		(int)pid) < 0)
		return -ENOMEM;
	const char **arg = d->argv;
	*arg++ = "gdb";
	*arg++ = "-q";
	*arg++ = "-ex";
	*arg++ = d->line;
	if (crashed == SIGTRAP) {
		*arg++ = "-ex";
		*arg++ = PASS_TRAP;
	}
	if (crashed || breakpoint) {
		*arg++ = "-ex";
		*arg++ = "continue";
	}
	if (breakpoint) {
		int r = make_script(d);
		if (r < 0)
			return r;
		*arg++ = "-x";
		*arg++ = d->script_path;
	}
	d->name = "gdb";
	return 0;
}

pid_t debugger_target(pid_t pid, pid_t thread)
{
	struct procfs_stat ps;
	char path[64];
	pid_t found = 0;

	if (procfs_stat(pid, &ps) < 0 || ps.state != 'Z')
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
		pid_t tid = atoi(entry->d_name);

		if (tid > 0 && (!thread || tid == thread) && procfs_stat(tid, &ps) == 0 &&
		    ps.state != 'Z' && ps.state != 'X')
			found = tid;
	}
	if (dir)
		closedir(dir);
	return found ? found : pid;
}

int debugger_init(struct debugger *d, pid_t pid, int crashed, bool breakpoint)
{
	const char *given = secure_getenv("TTYLOCK_DEBUGGER");

	*d = (struct debugger){.script = -1};
	if (!given || !*given)
		return init_gdb(d, pid, crashed, breakpoint);
	d->line = expand(given, pid);
	if (!d->line)
		return -ENOMEM;
	d->argv[0] = "/bin/sh";
	d->argv[1] = "-c";
	d->argv[2] = d->line;
	d->name = "TTYLOCK_DEBUGGER";
	return 0;
}

void debugger_deinit(struct debugger *d)
{
	free(d->line);
	if (d->script >= 0)
		close(d->script);
}

/* By opening its memory, for which the kernel asks the same as for ptrace(2): a
 * real attach, however short, would be a tracer for a moment, and a process that
 * waits for its debugger would take it for that one. */
int debugger_may_attach(pid_t pid)
{
	char path[32];

	if (procfs_tracer(pid) > 0)
		return -EALREADY;
	/* There is no process 0; but ptrace itself may be forbidden to us. */
	if (ptrace(PTRACE_SEIZE, 0, NULL, NULL) < 0 && errno != ESRCH)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? -EPERM : -errno;
	close(fd);
	return 0;
}
