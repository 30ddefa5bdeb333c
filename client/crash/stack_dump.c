/*
 * The handler of SIGUSR1. It starts "ttylock dump --report" and returns; nothing is kept open, so
 * the process has neither a descriptor nor a child that it would not have without us. While a dump
 * is being made, further signals are one with it: whether it is still being made is asked of /proc,
 * by the helper's pid and start time.
 *
 * Nothing in this file, nor in what it calls, may use the heap, standard I/O, a lock, fork() or a
 * wrapper that a sanitizer interposes: the thread may stand anywhere, inside malloc() too.
 */
#include "stack_dump.h"

#include "decimal.h"
#include "kernel.h"
#include "notice.h"
#include "spawn.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/prctl.h>

/* As in solo.c: a vfork child shares this memory with its parent. */
enum { PLACES = 4 };

struct place {
	_Atomic pid_t busy; /* whose handler is at work here; 0 */
	pid_t of;	    /* whose dump was made last */
	pid_t helper;	    /* by whom */
	uint64_t started;   /* and when that started, as /proc has it */
	struct room room;
};

static const struct helper *helper;
static struct place places[PLACES];

/* --- the helper that may still be at work --------------------------------------------------- */

static long read_file(const char *path, char *text, size_t size)
{
	long fd = kernel(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? fd : kernel(SYS_read, fd, text, size - 1);

	if (fd >= 0)
		kernel(SYS_close, fd);
	text[n < 0 ? 0 : n] = '\0';
	return n;
}

static uint64_t next_number(const char **at)
{
	uint64_t value = 0;

	for (; **at >= '0' && **at <= '9'; ++*at)
		value = value * 10 + (uint64_t)(**at - '0');
	if (**at)
		++*at;
	return value;
}

/* The start time of a live process, in the kernel's ticks; 0: it has ended, or is about to: it has
 * no memory any more, which is earlier by some time than its being a zombie. */
static uint64_t start_time(pid_t pid)
{
	/* Of proc(5)'s fields, 22 after 3; the next one is the memory's size. */
	enum { STARTTIME_AFTER_STATE = 19 };
	char text[512], path[32] = "/proc/", number[DECIMAL_MAX], *end, *at = path + 6;

	for (const char *digit = decimal(number, pid); *digit; digit++)
		*at++ = *digit;
	for (const char *rest = "/stat"; *rest; rest++)
		*at++ = *rest;
	*at = '\0';
	if (read_file(path, text, sizeof(text)) <= 0)
		return 0;
	/* The name may hold anything: count from its end. */
	at = NULL;
	for (end = text; *end; end++)
		if (*end == ')')
			at = end;
	if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return 0;
	at += 2;
	for (int field = 0; *at && field < STARTTIME_AFTER_STATE; at++)
		field += *at == ' ';
	const char *rest = at;
	uint64_t time = next_number(&rest), size = next_number(&rest);
	return size > 0 ? time : 0;
}

static bool is_under_way(const struct place *place, pid_t pid)
{
	return place->of == pid && place->helper > 0 && place->started != 0 &&
	       start_time(place->helper) == place->started;
}

/* --- starting it ---------------------------------------------------------------------------- */

struct errand_dump {
	const struct helper *helper;
	int gate; /* a pipe that ends when our handler does */
	char pid[DECIMAL_MAX];
	long error;
};

/*
 * Descriptors that the helper kept would keep somebody's pipe from ending. Standard error it may
 * need: there may be no terminal. The gate becomes 3.
 */
static int dump_main(void *arg)
{
	struct errand_dump *errand = arg;
	const char *argv[] = {
	    "ttylock", "dump", "--report", "SIGUSR1", "--after", "3", "--", errand->pid, NULL};
	int gate = kernel(SYS_fcntl, errand->gate, F_DUPFD, 4);
	int null = kernel(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);

	null = kernel(SYS_fcntl, null, F_DUPFD, 4);
	for (int fd = 0; fd <= 1; fd++)
		kernel(SYS_dup3, null, fd, 0);
	kernel(SYS_dup3, gate, 3, 0);
	kernel(SYS_close_range, 4, ~0u, 0);
	errand->error = kernel(SYS_execve, errand->helper->path, argv, errand->helper->envp);
	syscall(SYS_exit_group, 127);
	return 0;
}

static bool is_restricted_by_yama(void)
{
	char scope[4];

	return read_file("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)) > 0 &&
	       scope[0] == '1';
}

/* The dump waits for the gate's end, lest it meets the thread in clone(), where nobody can tell
 * what called it. */
static pid_t spawn_dump(struct place *place, struct errand_dump *errand, bool yama)
{
	int gate[2], error = kernel(SYS_pipe2, gate, O_CLOEXEC);
	pid_t dumper;

	if (error)
		return error;
	errand->gate = gate[0];
	/* For anybody until we know for whom. */
	if (yama)
		kernel(SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	dumper = spawn_process(helper, &place->room, dump_main, errand);
	if (yama)
		kernel(SYS_prctl, PR_SET_PTRACER, dumper > 0 ? dumper : 0, 0, 0, 0);
	kernel(SYS_close, gate[0]);
	kernel(SYS_close, gate[1]);
	return dumper;
}

static void start(struct place *place, pid_t pid)
{
	struct errand_dump errand = {.helper = helper};

	decimal(errand.pid, pid);
	pid_t dumper = spawn_dump(place, &errand, is_restricted_by_yama());
	if (dumper > 0 && errand.error == 0) {
		place->of = pid;
		place->helper = dumper;
		place->started = start_time(dumper);
	} else {
		notice(place->room.text, sizeof(place->room.text), "cannot start the stack dump",
		    dumper < 0 ? dumper : (int)errand.error);
	}
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	/* Of the kernel each time: libc may remember those of the parent in a vfork child. */
	int saved = errno;
	pid_t pid = syscall(SYS_getpid), nobody = 0;
	struct place *place = &places[pid % PLACES];

	(void)sig, (void)info, (void)context;
	if (atomic_compare_exchange_strong(&place->busy, &nobody, pid)) {
		if (!is_under_way(place, pid))
			start(place, pid);
		place->busy = 0;
	}
	errno = saved;
}

int stack_dump_install(const struct helper *starts)
{
	struct sigaction ours = {
	    .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	struct sigaction now;

	if (sigaction(SIGUSR1, NULL, &now) < 0)
		return -errno;
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal)
		return 0;
	if (now.sa_handler != SIG_DFL)
		return -EBUSY;
	helper = starts;
	sigfillset(&ours.sa_mask);
	return sigaction(SIGUSR1, &ours, NULL) < 0 ? -errno : 0;
}
