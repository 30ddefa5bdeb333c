/*
 * What happens on a crash. Owns the handlers of six signals and what they replaced (a sanitizer
 * installs its own before us).
 *
 * The handler starts the helper, waits for its debugger, puts back the action that was there before
 * and returns with the very same signal queued again, so that it strikes at the very same
 * instruction: under the debugger, or to end the process as it would have ended without us. Queued
 * even where the fault would recur by itself: a fault need not recur (a mapped file has grown
 * meanwhile), and a Ctrl-C that came in while we waited must not go first.
 *
 * A signal that has had its session keeps the earlier action, so that a debugger's "continue" ends
 * the process; the other five stay ours. A program that installs a handler of its own later wins:
 * nothing here stands in its way.
 *
 * Nothing in this file, nor in what it calls, may use the heap, standard I/O, a lock, fork() or a
 * wrapper that a sanitizer interposes; nothing looks into *info, which is garbage if an old-style
 * handler called ours by its remembered address.
 */
#include "crash.h"

#include "freeze.h"
#include "kernel.h"
#include "notice.h"
#include "spawn.h"
#include "tracer.h"
#include "turn.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#define ATTACH_POLL (2 * NSEC_PER_MSEC)

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};

static const struct helper *helper;
static struct sigaction before[NSIG];

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
 * Wait without using the processor until it is our turn ("A" on the gate), then look for the
 * debugger. True when it has attached; false when the helper is gone without, or the process was
 * asked to end.
 */
static bool debugger_attached(int gate, int end_request)
{
	struct pollfd fds[] = {{gate, POLLIN, 0}, {end_request, POLLIN, 0}};
	bool attaching = false, gone = false;
	char byte;

	for (;;) {
		fds[0].revents = fds[1].revents = 0;
		kernel_ppoll(fds, 2, attaching ? ATTACH_POLL : -1);
		if (fds[1].revents)
			return false;
		if (fds[0].revents) {
			long n = kernel(SYS_read, gate, &byte, 1);

			attaching |= n == 1 && byte == 'A';
			gone = n == 0;
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

static bool session(struct turn *turn, int sig)
{
	int gate[2], error, end_request;
	bool attached = false;

	kernel(SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	error = kernel(SYS_pipe2, gate, O_CLOEXEC);
	if (error == 0) {
		error = spawn_helper(helper, turn, sig, gate[1]);
		kernel(SYS_close, gate[1]);
		end_request = end_request_open();
		if (error == 0)
			attached = debugger_attached(gate[0], end_request);
		kernel(SYS_close, gate[0]);
		if (end_request >= 0)
			kernel(SYS_close, end_request);
	}
	if (error)
		notice(turn->text, sizeof(turn->text), "cannot start the debugger helper", error);
	return attached;
}

/*
 * Whoever dies by the default action leaves the other threads parked: they have nothing more to do.
 * An earlier handler may need them, and a debugger wants to see them run on.
 */
static void handle(struct turn *turn, pid_t pid, pid_t tid, int sig, siginfo_t *info)
{
	int tracer = tracer_pid();
	unsigned others = 0;
	bool attached = tracer > 0;

	if (tracer < 0) {
		notice(turn->text, sizeof(turn->text), "cannot wait for a debugger", tracer);
	} else if (!attached) {
		others = freeze_others(sig, turn->text, sizeof(turn->text));
		attached = session(turn, sig);
	}
	sigaction(sig, &before[sig], NULL);
	strike_again(pid, tid, sig, info);
	if (attached || others == 0 || before[sig].sa_handler != SIG_DFL) {
		if (others > 0)
			freeze_thaw();
		turn_leave(turn);
	}
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
	static const struct sigaction die = {.sa_handler = SIG_DFL};
	/* Of the kernel each time: libc may remember those of the parent in a vfork child. */
	pid_t pid = syscall(SYS_getpid), tid = syscall(SYS_gettid);
	struct turn *turn;
	int saved = errno;

	(void)context;
	switch (turn_take(pid, tid, &turn)) {
	case TURN_MINE:
		handle(turn, pid, tid, sig, info);
		break;
	case TURN_NESTED:
		sigaction(sig, &die, NULL);
		strike_again(pid, tid, sig, info);
		break;
	case TURN_NONE:
		sigaction(sig, &before[sig], NULL);
		strike_again(pid, tid, sig, info);
		break;
	}
	errno = saved;
}

void crash_install(const struct helper *starts)
{
	struct sigaction ours = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	helper = starts;
	sigfillset(&ours.sa_mask);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		int sig = signals[i];

		if (sigaction(sig, &ours, &before[sig]) == 0 && before[sig].sa_handler == SIG_IGN)
			sigaction(sig, &before[sig], NULL);
	}
}
