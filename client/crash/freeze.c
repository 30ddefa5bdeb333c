/*
 * Parking the other threads, by a signal that no program can block through libc: the one that glibc
 * keeps for setuid() across threads. It is taken over at crash time only. Our signals are queued
 * with a value, which glibc's handler ignores, and whatever is not ours is passed on to that
 * handler: so neither side loses one, in whatever order they arrive.
 */
#include "freeze.h"

#include "kernel.h"
#include "takeover.h"
#include "tasks.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#define SIG_PARK    33 /* glibc's SIGSETXID */
#define GATE_LOWEST 100
#define TID_MAX	    (4 << 20)	/* the kernel's own limit */
#define MAGIC	    0x74746c6bu /* "ttlk" */
#define GATE	    0x74746c67u /* "ttlg" */

/* How long the crash waits for the other threads to come, all together. */
#define PATIENCE (200 * NSEC_PER_MSEC)

/* How long the parked outstay the crash's return: until the debugger has stopped them all. */
#define LINGER (100 * NSEC_PER_MSEC)

static _Atomic uint32_t frozen; /* the freeze in force, 0 = none: what the parked wait on */
static _Atomic uint32_t parked;
static _Atomic int64_t go_on_ns;
static uint32_t freezes, told;
static uint8_t told_tids[TID_MAX / 8]; /* untouched pages of it cost nothing */

/* As the kernel lays out a queued signal's value. */
static int queue(pid_t pid, pid_t tid, uint32_t magic, uint32_t value)
{
	siginfo_t info = {.si_signo = SIG_PARK, .si_code = SI_QUEUE};

	info.si_pid = pid;
	info.si_value.sival_ptr = (void *)((uint64_t)magic << 32 | value);
	return kernel(SYS_rt_tgsigqueueinfo, pid, tid, SIG_PARK, &info);
}

static void linger(void)
{
	int64_t until = go_on_ns;
	struct timespec t = {until / NSEC_PER_SEC, until % NSEC_PER_SEC};

	while (kernel(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == -EINTR)
		;
}

static void park(int sig, siginfo_t *info, void *context);

static struct takeover taken = {.sig = SIG_PARK, .handler = park};

/* The gate is ours alone. What comes through it is not for us. */
static void await_end(int gate)
{
	struct pollfd fd = {gate, 0, 0};

	while (kernel_ppoll(&fd, 1, -1) == -EINTR)
		;
	kernel(SYS_close, gate);
}

static void park(int sig, siginfo_t *info, void *context)
{
	uint64_t value = (uint64_t)info->si_value.sival_ptr;
	uint32_t magic = info->si_code == SI_QUEUE ? value >> 32 : 0, freeze = (uint32_t)value;
	int saved = errno;

	if (magic == GATE) {
		await_end((int)freeze);
	} else if (magic != MAGIC) {
		takeover_pass_on(&taken, sig, info, context);
	} else if (frozen == freeze) {
		parked++;
		kernel_futex_wake(&parked);
		while (frozen == freeze)
			kernel_futex_wait(&frozen, freeze, -1);
		linger();
	}
	errno = saved;
}

/* Signal the thread unless that was done before. */
static void tell(pid_t tid, void *pid)
{
	uint8_t bit = 1 << tid % 8;

	if (tid <= 0 || tid >= TID_MAX || (told_tids[tid / 8] & bit))
		return;
	told_tids[tid / 8] |= bit;
	if (queue(*(pid_t *)pid, tid, MAGIC, freezes) == 0)
		told++;
}

/* One pass over the other threads, each told if telling. Returns how many there are, or -errno. */
static long pass(int list, char *buf, size_t size, bool telling)
{
	pid_t pid = syscall(SYS_getpid);

	return tasks_others(list, buf, size, telling ? tell : NULL, &pid);
}

static void await_parked(int64_t until)
{
	for (;;) {
		uint32_t now = parked;
		int64_t left = until - kernel_now_ns();

		if (now >= told || left <= 0)
			return;
		kernel_futex_wait(&parked, now, left);
	}
}

/* Pass after pass, until one meets no thread that is new: those not parked yet may have started
 * others. */
static void park_all(int list, char *buf, size_t size)
{
	int64_t until = kernel_now_ns() + PATIENCE;
	uint32_t told_before;

	if (freezes > 0)
		memset(told_tids, 0, sizeof(told_tids));
	told = 0;
	parked = 0;
	frozen = ++freezes;
	do {
		told_before = told;
		pass(list, buf, size, true);
		await_parked(until);
	} while (told > told_before && kernel_now_ns() < until);
}

unsigned freeze_others(int sig, char *buf, size_t size)
{
	int list = tasks_open();
	long others;

	if (list < 0)
		return 0;
	/* Count first: a vfork child is alone, and the state here is its parent's, which may be in
	 * a freeze. */
	others = pass(list, buf, size, false);
	if (others > 0) {
		if (takeover_begin(&taken, sig) == 0)
			park_all(list, buf, size);
		else
			others = 0;
	}
	kernel(SYS_close, list);
	return others > 0 ? others : 0;
}

/* A thread that has not come yet would die of our signal under SIG_DFL: then our handler stays, and
 * does nothing. */
void freeze_thaw(void)
{
	go_on_ns = kernel_now_ns() + LINGER;
	frozen = 0;
	kernel_futex_wake(&frozen);
	if (parked >= told || takeover_has_before(&taken))
		takeover_end(&taken);
}

int freeze_until(int gate, int sig, pid_t tid)
{
	int copy = kernel(SYS_fcntl, gate, F_DUPFD_CLOEXEC, GATE_LOWEST);
	int error = copy < 0 ? copy : takeover_begin(&taken, sig);

	if (!error)
		error = queue(syscall(SYS_getpid), tid, GATE, (uint32_t)copy);
	if (error && copy >= 0)
		kernel(SYS_close, copy);
	return error;
}
