/* Breakpoints in the program's own text. The trap itself is the caller's, so
 * that the debugger stops in the caller's frame; what is here waits until it may
 * be executed. Async-signal-safe once ready_helper() has succeeded. */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "../crash/crash.h"
#include "../crash/decimal.h"
#include "../crash/gate.h"
#include "../crash/hold.h"
#include "../crash/kernel.h"
#include "../crash/notice.h"
#include "../crash/tracer.h"
#include "../preload/preload.h"
#include "export.h"
#include "guard.h"
#include "ready.h"
#include "ttylock.h"

#define ATTACH_POLL (2 * NSEC_PER_MSEC)
#define WHERE_MAX   256

static char *put(char *at, const char *end, const char *text)
{
	while (*text && at < end)
		*at++ = *text++;
	*at = '\0';
	return at;
}

/* FILE:LINE[: TEXT] */
static void describe(char out[WHERE_MAX], const char *file, int line, const char *text)
{
	const char *end = out + WHERE_MAX - 1;
	char number[DECIMAL_MAX];

	char *at = put(put(out, end, file), end, ":");
	at = put(at, end, decimal(number, line));
	if (text)
		put(put(at, end, ": "), end, text);
}

/* Our end of the gate, or -errno. */
static int start_helper(const struct helper *helper, struct room *room, const char *where)
{
	struct errand errand = {"--breakpoint", where};
	uint64_t all = ~0ull, before;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, KERNEL_SIGSET);
	int gate = gate_open(helper, room, &errand);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SIGSET);
	return gate;
}

/* Until it is our turn only the gate counts: a debugger that is there meanwhile
 * has come for another thread. True when ours has attached, and then the guard
 * is up; it is from before the attach, by which other threads know as well whom
 * that debugger has come for. */
static bool await_debugger(int gate)
{
	struct pollfd fd = {gate, POLLIN, 0};
	bool attaching = false, gone = false;

	do {
		fd.revents = 0;
		kernel_ppoll(&fd, 1, attaching ? ATTACH_POLL : -1);
		enum gate_news news = fd.revents ? gate_read(gate) : GATE_NOTHING;
		if (news == GATE_ATTACHING) {
			guard_enter();
			attaching = true;
		}
		gone = news == GATE_ENDED;
		/* Again and again: one may have been on its way into a read. */
		if (attaching)
			hold_readers(gate, SIGTRAP);
		if (attaching && tracer_pid() > 0) {
			/* Give the attach time to stop us here, before the trap. */
			kernel_ppoll(NULL, 0, ATTACH_POLL);
			return true;
		}
	} while (!gone);
	guard_leave();
	return false;
}

static bool debugger_comes(const char *file, int line, const char *text)
{
	const struct helper *helper;
	char where[WHERE_MAX];

	struct room *room = (void *)syscall(SYS_mmap, NULL, sizeof(*room), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return false;
	describe(where, file, line, text);
	int gate = ready_helper(&helper);
	if (gate == 0)
		gate = start_helper(helper, room, where);
	if (gate < 0)
		notice(room->text, sizeof(room->text), "breakpoint without a debugger", gate);
	kernel(SYS_munmap, room, sizeof(*room));
	if (gate < 0)
		return false;
	bool comes = await_debugger(gate);
	kernel(SYS_close, gate);
	return comes;
}

EXPORT int ttylock_breakpoint_begin(const char *file, int line, const char *text)
{
	char said[128];
	int saved = errno;
	bool comes = true;

	/* Whoever has a debugger that was not called for another thread's
	 * breakpoint, and has not got there yet, is in good hands. */
	guard_leave();
	int tracer = tracer_pid();
	if (tracer > 0 && !guard_entered()) {
		guard_enter();
	} else if (tracer < 0) {
		/* One that has come before may wait for us to go on. */
		notice(said, sizeof(said), "breakpoint without a debugger", tracer);
		comes = false;
	} else {
		comes = debugger_comes(file, line, text);
	}
	errno = saved;
	return comes;
}

EXPORT void ttylock_breakpoint_end(void)
{
	int saved = errno;

	guard_leave();
	errno = saved;
}

EXPORT void ttylock_assert_failed(
    const char *expression, const char *file, int line, const char *function)
{
	guard_leave();
	/* The person has seen it: no second session for what follows. */
	if (ttylock_preload_crash)
		ttylock_preload_crash(SIGABRT, false);
	crash_remove(SIGABRT);
	__assert_fail(expression, file, (unsigned)line, function);
}
