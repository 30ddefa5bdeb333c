/*
 * The gate is kept, by a high number, and its end comes as a signal: the program needs no thread of
 * ours, a new program has the gate no more (it is close-on-exec), and a helper that is killed ends
 * it as well. The signal is the one that glibc keeps for pthread_cancel(), which no program can
 * block through libc and which debuggers pass in silence. What is not ours of it is passed on.
 *
 * Owns that signal's action while a gate is kept, and the gates.
 */
#include "rearm.h"

#include "context.h"
#include "gate.h"
#include "kernel.h"
#include "takeover.h"

#include <fcntl.h>
#include <stdbool.h>

#define SIG_END	    32 /* glibc's SIGCANCEL */
#define GATE_LOWEST 100
#define MAGIC	    0x7474796cu /* "ttyl" */

/* One for each crash signal that waits for the end of its session. */
static struct wait {
	_Atomic pid_t pid; /* whose it is; a vfork child shares our memory. 0: nobody's */
	int gate;
	pid_t tid;
	uintptr_t pc;
	struct sigaction now, then;
} waits[NSIG];

static bool is_same(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_handler == b->sa_handler &&
	       (a->sa_flags & SA_SIGINFO) == (b->sa_flags & SA_SIGINFO);
}

static bool is_any_left(pid_t pid)
{
	for (int sig = 1; sig < NSIG; sig++)
		if (waits[sig].pid == pid)
			return true;
	return false;
}

static void on_end(int sig, siginfo_t *info, void *context);

static struct takeover taken = {.sig = SIG_END, .handler = on_end};

/* Of two threads that are at it one closes the gate: its number may be another file's then. */
static void let_go(struct wait *wait, pid_t pid)
{
	int gate = wait->gate;

	if (atomic_compare_exchange_strong(&wait->pid, &pid, 0))
		kernel(SYS_close, gate);
}

/* Of a thread that has not moved, the fault would only come again, and the debugger after it: for
 * ever. */
static void end_wait(struct wait *wait, pid_t pid, int sig, void *context)
{
	struct sigaction now;
	bool moved = wait->tid != syscall(SYS_gettid) || context_pc(context) != wait->pc;

	if (moved && sigaction(sig, NULL, &now) == 0 && is_same(&now, &wait->now))
		sigaction(sig, &wait->then, NULL);
	let_go(wait, pid);
}

/* The kernel tells any thread. The crashed one, where it lives still, knows whether it has moved.
 */
static bool pass_on(const struct wait *wait, pid_t pid)
{
	siginfo_t info = {.si_signo = SIG_END, .si_code = SI_QUEUE};

	info.si_pid = pid;
	info.si_value.sival_ptr = (void *)((uint64_t)MAGIC << 32 | (uint32_t)wait->gate);
	return kernel(SYS_rt_tgsigqueueinfo, pid, wait->tid, SIG_END, &info) == 0;
}

/* The gate that the signal is about; -1: it is none of ours. */
static int gate_of(const siginfo_t *info)
{
	uint64_t value = (uint64_t)info->si_value.sival_ptr;

	if (info->si_code > 0)
		return info->si_fd;
	return info->si_code == SI_QUEUE && value >> 32 == MAGIC ? (int)value : -1;
}

static void on_end(int given, siginfo_t *info, void *context)
{
	pid_t pid = syscall(SYS_getpid), tid = syscall(SYS_gettid);
	int saved = errno, gate = gate_of(info);

	for (int sig = 1; sig < NSIG && gate >= 0; sig++) {
		struct wait *wait = &waits[sig];

		if (wait->pid != pid || wait->gate != gate || gate_read(gate) != GATE_ENDED ||
		    (info->si_code > 0 && wait->tid != tid && pass_on(wait, pid)))
			continue;
		end_wait(wait, pid, sig, context);
		if (!is_any_left(pid) && takeover_is_in_force(&taken))
			takeover_end(&taken);
	}
	if (gate < 0)
		takeover_pass_on(&taken, given, info, context);
	errno = saved;
}

static int listen_at(int gate, pid_t pid)
{
	struct f_owner_ex owner = {F_OWNER_PID, pid};
	int error = kernel(SYS_fcntl, gate, F_SETOWN_EX, &owner);

	if (!error)
		error = kernel(SYS_fcntl, gate, F_SETSIG, SIG_END);
	if (!error)
		error = kernel(SYS_fcntl, gate, F_SETFL, O_ASYNC | O_NONBLOCK);
	return error;
}

void rearm_later(
    int gate, int sig, const struct sigaction *now, const struct sigaction *then, uintptr_t pc)
{
	struct wait *wait = &waits[sig];
	int high = kernel(SYS_fcntl, gate, F_DUPFD_CLOEXEC, GATE_LOWEST);

	if (high >= 0) {
		kernel(SYS_close, gate);
		gate = high;
	}
	rearm_forget(sig);
	wait->gate = gate;
	wait->tid = syscall(SYS_gettid);
	wait->pc = pc;
	wait->now = *now;
	wait->then = *then;
	wait->pid = syscall(SYS_getpid);
	if (takeover_begin(&taken, sig) != 0 || listen_at(gate, wait->pid) != 0 ||
	    gate_read(gate) == GATE_ENDED)
		rearm_forget(sig);
}

void rearm_forget(int sig)
{
	let_go(&waits[sig], syscall(SYS_getpid));
}
