/*
 * What happens on a crash. Owns the handlers of six signals and what they replaced (a sanitizer
 * installs its own before us, or the program).
 *
 * The handler starts the helper, waits for its debugger, puts back the action that was there before
 * and returns with the very same signal queued again, so that it strikes at the very same
 * instruction: under the debugger, or to end the process as it would have ended without us. Queued
 * even where the fault would recur by itself: a fault need not recur (a mapped file has grown
 * meanwhile), and a Ctrl-C that came in while we waited must not go first.
 *
 * A signal that ends the process keeps its default action as long as the debugger is there, so that
 * its "continue" ends the process; then ours comes back (rearm.c), unless the crash would only come
 * again. An earlier handler is called by ours when the signal strikes again: it may leave by a
 * jump, for the next crash. One that returns from a fault has mended it, as it does with its
 * faults, and has the signal to itself from then on. A program that installs a handler of its own
 * later wins: nothing here stands in its way.
 *
 * Nothing in this file, nor in what it calls, may use the heap, standard I/O, a lock, fork() or a
 * wrapper that a sanitizer interposes; nothing looks into *info without a frame, for it is garbage
 * if an old-style handler called ours by its remembered address.
 */
#include "crash.h"

#include "context.h"
#include "decimal.h"
#include "freeze.h"
#include "gate.h"
#include "kernel.h"
#include "notice.h"
#include "rearm.h"
#include "tracer.h"
#include "solo.h"
#include "sync_point.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#define ATTACH_POLL (2 * NSEC_PER_MSEC)

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};

static const struct helper *helper;
static struct sigaction before[NSIG];

/* The thread that the signal was sent to once more, for the earlier handler. */
static _Atomic pid_t struck[NSIG];

/* Strike again, with the siginfo of the first time, once the handler returns and unblocks it. */
static void strike_again(pid_t pid, pid_t tid, int sig, siginfo_t *info)
{
	if (kernel(SYS_rt_tgsigqueueinfo, pid, tid, sig, info) < 0)
		kernel(SYS_tgkill, pid, tid, sig);
}

/*
 * A descriptor that becomes readable when the process is asked to end. What the program ignores
 * does not count: a blocked signal is pending even then.
 */
static int end_request_open(void)
{
	static const int asks[] = {SIGTERM, SIGHUP};
	struct kernel_action now;
	uint64_t mask = 0;

	for (unsigned i = 0; i < sizeof(asks) / sizeof(*asks); i++) {
		if (kernel_sigaction(asks[i], NULL, &now) == 0 && now.handler != (void *)SIG_IGN)
			mask |= 1ull << (asks[i] - 1);
	}
	return kernel(SYS_signalfd4, -1, &mask, KERNEL_SIGSET, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*
 * The gate and the request to end, to be waited for together. By epoll: unlike poll(2), it ends
 * with EINTR when a debugger stops us, so one that has come for somebody else (a breakpoint of
 * another thread, a person by hand) is noticed; it would else wait for threads that stand still for
 * us.
 */
static int watch(int gate, int end_request)
{
	struct epoll_event readable = {.events = EPOLLIN};
	int watch = kernel(SYS_epoll_create1, EPOLL_CLOEXEC);

	if (watch < 0)
		return watch;
	readable.data.fd = gate;
	kernel(SYS_epoll_ctl, watch, EPOLL_CTL_ADD, gate, &readable);
	readable.data.fd = end_request;
	kernel(SYS_epoll_ctl, watch, EPOLL_CTL_ADD, end_request, &readable);
	return watch;
}

/*
 * Wait without using the processor until it is our turn, then look for the debugger. True when it
 * has attached; false when the helper is gone without, or the process was asked to end.
 */
static bool debugger_attached(int watch, int gate)
{
	bool attaching = false, gone = false;
	struct epoll_event event;

	for (;;) {
		long n = kernel(SYS_epoll_pwait, watch, &event, 1,
		    attaching ? ATTACH_POLL / NSEC_PER_MSEC : -1, NULL, KERNEL_SIGSET);

		if (n > 0 && event.data.fd != gate)
			return false;
		if (n > 0) {
			enum gate_news news = gate_read(gate);

			attaching |= news == GATE_ATTACHING;
			gone = news == GATE_ENDED;
		}
		if (tracer_pid() > 0)
			break;
		if (gone)
			return false;
	}
	/* Give the attach time to stop us here: what follows should happen after it. */
	kernel_ppoll(NULL, 0, ATTACH_POLL);
	return true;
}

/* Returns the gate, to be closed, if a debugger has come; or -1. */
static int session(struct solo *solo, int sig)
{
	char number[DECIMAL_MAX];
	struct errand errand = {"--crashed", decimal(number, sig)};
	int gate = gate_open(helper, &solo->room, &errand), end_request, both;
	bool attached = false;

	if (gate < 0) {
		notice(solo->room.text, sizeof(solo->room.text), "cannot start the debugger helper",
		    gate);
		return -1;
	}
	end_request = end_request_open();
	both = watch(gate, end_request);
	if (both >= 0) {
		attached = debugger_attached(both, gate);
		kernel(SYS_close, both);
	}
	if (!attached)
		kernel(SYS_close, gate);
	if (end_request >= 0)
		kernel(SYS_close, end_request);
	return attached ? gate : -1;
}

static void on_crash(int sig, siginfo_t *info, void *context);

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_crash;
}

static bool is_function(const struct sigaction *action)
{
	return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/* Ours stays where it is to call an earlier handler. The gate tells of the debugger's end; -1:
 * there is none. */
static void prepare_strike(
    int sig, int gate, pid_t tid, const siginfo_t *info, const ucontext_t *frame)
{
	struct sigaction now;

	sigaction(sig, NULL, &now);
	if (frame && is_function(&before[sig]) && is_ours(&now)) {
		struck[sig] = tid;
	} else {
		sigaction(sig, &before[sig], NULL);
		if (frame && gate >= 0) {
			/* One that was sent does not come again by itself. */
			uintptr_t pc = info->si_code > 0 ? context_pc(frame) : 0;
			rearm_later(gate, sig, &before[sig], &now, pc);
			return;
		}
	}
	if (gate >= 0)
		kernel(SYS_close, gate);
}

/*
 * Whoever dies by the default action leaves the other threads parked: they have nothing more to do.
 * An earlier handler may need them, and a debugger wants to see them run on.
 */
static void handle(
    struct solo *solo, pid_t pid, pid_t tid, int sig, siginfo_t *info, const ucontext_t *frame)
{
	int tracer = tracer_pid(), gate = -1;
	unsigned others = 0;

	if (tracer < 0) {
		notice(
		    solo->room.text, sizeof(solo->room.text), "cannot wait for a debugger", tracer);
	} else if (tracer == 0) {
		others = freeze_others(sig, solo->room.text, sizeof(solo->room.text));
		gate = session(solo, sig);
	}
	bool attached = tracer > 0 || gate >= 0;
	SYNC_POINT("crash.before-restore");
	prepare_strike(sig, gate, tid, info, frame);
	strike_again(pid, tid, sig, info);
	if (attached || others == 0 || before[sig].sa_handler != SIG_DFL) {
		if (others > 0)
			freeze_thaw();
		solo_leave(solo);
	}
}

/* As the kernel would call it. It may not come back. */
static void call_earlier(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *frame = context_of(context);
	struct sigaction earlier = before[sig], now;
	uint64_t mask, blocks;

	memcpy(&mask, &frame->uc_sigmask, sizeof(mask));
	memcpy(&blocks, &earlier.sa_mask, sizeof(blocks));
	mask |= blocks;
	if (!(earlier.sa_flags & SA_NODEFER))
		mask |= 1ull << (sig - 1);
	if (earlier.sa_flags & SA_RESETHAND)
		before[sig].sa_handler = SIG_DFL;
	kernel(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, KERNEL_SIGSET);
	if (earlier.sa_flags & SA_SIGINFO)
		earlier.sa_sigaction(sig, info, context);
	else
		earlier.sa_handler(sig);
	/* abort() is never mended by a handler. */
	if (sig != SIGABRT && sigaction(sig, NULL, &now) == 0 && is_ours(&now))
		sigaction(sig, &before[sig], NULL);
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
	static const struct sigaction die = {.sa_handler = SIG_DFL};
	/* Of the kernel each time: libc may remember those of the parent in a vfork child. */
	pid_t pid = syscall(SYS_getpid), tid = syscall(SYS_gettid);
	struct solo *solo;
	int saved = errno;

	SYNC_POINT("crash.entered");
	if (struck[sig] == tid && context_of(context)) {
		struck[sig] = 0;
		call_earlier(sig, info, context);
		errno = saved;
		return;
	}
	switch (solo_take(pid, tid, &solo)) {
	case SOLO_MINE:
		handle(solo, pid, tid, sig, info, context_of(context));
		break;
	case SOLO_NESTED:
		sigaction(sig, &die, NULL);
		strike_again(pid, tid, sig, info);
		break;
	case SOLO_NONE:
		sigaction(sig, &before[sig], NULL);
		strike_again(pid, tid, sig, info);
		break;
	}
	errno = saved;
}

void crash_install(const struct helper *starts)
{
	struct sigaction ours = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction old;

	helper = starts;
	sigfillset(&ours.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		int sig = signals[i];

		if (sigaction(sig, NULL, &old) != 0 || is_ours(&old) || old.sa_handler == SIG_IGN)
			continue;
		/* Before ours can be called. */
		before[sig] = old;
		sigaction(sig, &ours, NULL);
	}
}

void crash_remove(int only)
{
	struct sigaction now;

	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		int sig = signals[i];

		if (only != 0 && sig != only)
			continue;
		rearm_forget(sig);
		if (sigaction(sig, NULL, &now) == 0 && is_ours(&now))
			sigaction(sig, &before[sig], NULL);
	}
}
