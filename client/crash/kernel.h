/*
 * The kernel without a libc wrapper in between, for code that runs while the process is crashing.
 *
 * Sanitizers and other preloaded libraries interpose read, ppoll, mmap and the like, with locks and
 * per-thread state of their own; syscall(2) they leave alone. Results are -errno on failure; errno
 * itself is clobbered, so a handler saves it.
 */
#ifndef CRASH_KERNEL_H
#define CRASH_KERNEL_H

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "struct kernel_action is written down for x86-64 and aarch64 only"
#endif

/* What rt_sigaction(2) takes; libc's struct differs and refuses the signals that libc keeps for
 * itself. */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

#define KERNEL_SIGSET 8
#define NSEC_PER_SEC  1000000000LL
#define NSEC_PER_MSEC 1000000LL

#define kernel(...)                                                                                \
	({                                                                                         \
		long result_ = syscall(__VA_ARGS__);                                               \
		result_ < 0 ? -errno : result_;                                                    \
	})

static inline int kernel_sigaction(
    int sig, const struct kernel_action *action, struct kernel_action *old)
{
	return kernel(SYS_rt_sigaction, sig, action, old, KERNEL_SIGSET);
}

static inline int64_t kernel_now_ns(void)
{
	struct timespec now = {0};

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

/* timeout_ns < 0 waits for ever. May return early: callers loop on the word. */
static inline void kernel_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns)
{
	struct timespec t = {timeout_ns / NSEC_PER_SEC, timeout_ns % NSEC_PER_SEC};

	syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ns < 0 ? NULL : &t, NULL, 0);
}

static inline void kernel_futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static inline int kernel_ppoll(struct pollfd *fds, unsigned n, int64_t timeout_ns)
{
	struct timespec t = {timeout_ns / NSEC_PER_SEC, timeout_ns % NSEC_PER_SEC};

	return kernel(SYS_ppoll, fds, n, timeout_ns < 0 ? NULL : &t, NULL, KERNEL_SIGSET);
}

#endif
