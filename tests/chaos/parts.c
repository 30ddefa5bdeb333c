#include "parts.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIDS (1u << 16)

/* LeakSanitizer looks into a process that exits from another one, which ends with this
 * when the first was killed before it had begun. It plays no part. */
#define ORPHANED_TRACER 4
void __lsan_do_leak_check(void) __attribute__((weak));

struct part {
	pid_t pid, crashes;
	char name[40];
};

static struct part *parts;

void parts_init(void)
{
	parts = mmap(
	    NULL, PIDS * sizeof(*parts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (parts == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
}

static struct part *part_at(pid_t pid)
{
	return &parts[(unsigned)pid % PIDS];
}

const char *part_name(pid_t pid)
{
	const struct part *p = part_at(pid);

	return __atomic_load_n(&p->pid, __ATOMIC_SEQ_CST) == pid ? p->name : NULL;
}

void part_begin(const char *format, ...)
{
	struct part *p = part_at(getpid());
	va_list args;

	va_start(args, format);
	vsnprintf(p->name, sizeof(p->name), format, args);
	va_end(args);
	p->crashes = 0;
	__atomic_store_n(&p->pid, getpid(), __ATOMIC_SEQ_CST);
}

void part_crashes(void)
{
	part_at(getpid())->crashes = getpid();
}

/* Of a process that has ended and was not waited for. */
static void find_program(pid_t pid, char out[32])
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	FILE *f = fopen(path, "re");
	if (!f || !fgets(out, 32, f))
		strcpy(out, "?");
	out[strcspn(out, "\n")] = '\0';
	if (f)
		fclose(f);
}

static bool is_fair(const siginfo_t *end)
{
	const struct part *p = part_at(end->si_pid);
	int n = end->si_status;

	if (end->si_code == CLD_EXITED)
		return n == 0 ||
		       (n == ORPHANED_TRACER && __lsan_do_leak_check && !part_name(end->si_pid));
	/* A daemon has not heeded SIGTERM from its first moment on. */
	return n == SIGKILL || n == SIGTERM || (n == SIGSEGV && p->crashes == end->si_pid);
}

static void describe(const siginfo_t *end, char *out, size_t size)
{
	const char *part = part_name(end->si_pid);
	char program[32];

	find_program(end->si_pid, program);
	snprintf(out, size, "%s %d (%s) has ended by %s %d", part ? part : "one without a part,",
	    end->si_pid, program, end->si_code == CLD_EXITED ? "exit" : "signal", end->si_status);
}

bool part_await(int options, struct part_end *out)
{
	siginfo_t end = {0};

	while (waitid(P_ALL, 0, &end, WEXITED | WNOWAIT | options) < 0)
		if (errno != EINTR)
			return false;
	if (!end.si_pid)
		return false;
	out->pid = end.si_pid;
	out->fair = is_fair(&end);
	describe(&end, out->what, sizeof(out->what));
	/* The number may be another's next. */
	*part_at(end.si_pid) = (struct part){0};
	waitpid(end.si_pid, NULL, 0);
	return true;
}
