#include "guard.h"

#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#include "../crash/kernel.h"

static struct {
	_Atomic uint64_t owner; /* of the fields below: pid << 32 | tid; 0: nobody */
	_Atomic pid_t pid;	/* whose threads are counted: not those of a fork's parent */
	_Atomic int threads;
	struct sigaction before;
} guard;

/* Static storage: a handler must not be the first to ask for it. */
static __thread volatile sig_atomic_t entered __attribute__((tls_model("initial-exec")));
static __thread bool was_blocked __attribute__((tls_model("initial-exec")));

#define TRAP_BIT (1ull << (SIGTRAP - 1))

/* With all signals blocked, so that no handler of this thread waits for what
 * the thread itself has. An owner of another process is a thread that a fork
 * has left behind. */
static void lock(uint64_t *mask)
{
	uint64_t all = ~0ull, nobody;
	pid_t pid = syscall(SYS_getpid);
	uint64_t me = (uint64_t)pid << 32 | (uint32_t)syscall(SYS_gettid);

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, mask, KERNEL_SIGSET);
	for (;;) {
		nobody = 0;
		if (atomic_compare_exchange_strong(&guard.owner, &nobody, me) ||
		    ((pid_t)(nobody >> 32) != pid &&
			atomic_compare_exchange_strong(&guard.owner, &nobody, me)))
			break;
		syscall(SYS_sched_yield);
	}
	if (guard.pid != pid) {
		guard.pid = pid;
		guard.threads = 0;
	}
}

static void unlock(const uint64_t *mask)
{
	guard.owner = 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, NULL, KERNEL_SIGSET);
}

/* Where the program counter stays at the trap, on to the next instruction. */
static void step_over(ucontext_t *context)
{
#ifdef __aarch64__
	const uint32_t brk_f000 = 0xd43e0000;

	if (*(const uint32_t *)context->uc_mcontext.pc == brk_f000)
		context->uc_mcontext.pc += 4;
#else
	(void)context;
#endif
}

static void on_trap(int sig, siginfo_t *info, void *context);

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_trap;
}

/* Not of our breakpoints: puts back what was there before and has the signal
 * strike again. Somebody who has replaced us and calls us by our remembered
 * address would have us do so for ever. */
static void pass_on(int sig, siginfo_t *info)
{
	struct sigaction now, before = {.sa_handler = SIG_DFL};
	uint64_t mask;
	pid_t pid = syscall(SYS_getpid), tid = syscall(SYS_gettid);

	lock(&mask);
	if (sigaction(sig, NULL, &now) == 0 && is_ours(&now))
		before = guard.before;
	sigaction(sig, &before, NULL);
	unlock(&mask);
	if (kernel(SYS_rt_tgsigqueueinfo, pid, tid, sig, info) < 0)
		kernel(SYS_tgkill, pid, tid, sig);
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	if (entered && info->si_code > 0)
		step_over(context);
	else
		pass_on(sig, info);
	errno = saved;
}

void guard_enter(void)
{
	struct sigaction ours = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction old;
	uint64_t mask;

	/* The person may have led the thread around its guard_leave(). */
	if (entered)
		return;
	sigfillset(&ours.sa_mask);
	lock(&mask);
	if (guard.threads++ == 0 && sigaction(SIGTRAP, NULL, &old) == 0 && !is_ours(&old)) {
		guard.before = old;
		sigaction(SIGTRAP, &ours, NULL);
	}
	entered = 1;
	/* A trap that is blocked has the kernel reset the handler to the default. */
	was_blocked = mask & TRAP_BIT;
	mask &= ~TRAP_BIT;
	unlock(&mask);
}

void guard_leave(void)
{
	struct sigaction now;
	uint64_t mask;

	if (!entered)
		return;
	lock(&mask);
	entered = 0;
	if (guard.threads > 0 && --guard.threads == 0 && sigaction(SIGTRAP, NULL, &now) == 0 &&
	    is_ours(&now))
		sigaction(SIGTRAP, &guard.before, NULL);
	if (was_blocked)
		mask |= TRAP_BIT;
	unlock(&mask);
}

int guard_entered(void)
{
	return guard.pid == (pid_t)syscall(SYS_getpid) ? guard.threads : 0;
}
