/*
 * Two processes that borrow our memory, one after the other, as vfork() does: no fork(), whose
 * handlers may want a lock that the crash holds, and no copy of the page tables. The first has no
 * exit signal, starts the second and ends, so that the host is left without a child and without a
 * SIGCHLD; the second becomes the helper.
 */
#include "spawn.h"

#include "decimal.h"
#include "kernel.h"

#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <sys/wait.h>

/* Shared by all three: they run one at a time. */
struct spawn {
	const struct helper *helper;
	struct room *room;
	int (*run)(void *arg);
	void *arg;
	long pid;
};

static int middle_main(void *arg)
{
	struct spawn *spawn = arg;
	char *stack = spawn->room->helper_stack + sizeof(spawn->room->helper_stack);

	spawn->pid =
	    spawn->helper->clone(spawn->run, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, spawn->arg);
	if (spawn->pid < 0)
		spawn->pid = -errno;
	syscall(SYS_exit_group, 0);
	return 0;
}

pid_t spawn_process(
    const struct helper *helper, struct room *room, int (*run)(void *arg), void *arg)
{
	struct spawn spawn = {.helper = helper, .room = room, .run = run, .arg = arg};
	char *stack = room->middle_stack + sizeof(room->middle_stack);
	pid_t middle;

	middle = helper->clone(middle_main, stack, CLONE_VM | CLONE_VFORK, &spawn);
	if (middle < 0)
		return -errno;
	kernel(SYS_wait4, middle, NULL, __WALL, NULL);
	return spawn.pid;
}

/* --- ttylock debug -------------------------------------------------------- */

struct debug {
	const struct helper *helper;
	const struct errand *errand;
	int gate;
	int error;
	char tid[DECIMAL_MAX];
	char pid[DECIMAL_MAX];
	char fd[DECIMAL_MAX];
};

/* Well above 0 to 2, which the program may have closed, if the limit on descriptors allows. */
static int gate_copy(int gate)
{
	int fd = kernel(SYS_fcntl, gate, F_DUPFD, 10);

	return fd >= 0 ? fd : kernel(SYS_fcntl, gate, F_DUPFD, 3);
}

static int debug_main(void *arg)
{
	struct debug *debug = arg;
	int fd = gate_copy(debug->gate);

	if (fd >= 0) {
		const char *argv[] = {"ttylock", "debug", debug->errand->option,
		    debug->errand->value, "--thread", debug->tid, "--gate", decimal(debug->fd, fd),
		    debug->pid, NULL};

		fd = kernel(SYS_execve, debug->helper->path, argv, debug->helper->envp);
	}
	debug->error = fd;
	syscall(SYS_exit_group, 127);
	return 0;
}

int spawn_helper(
    const struct helper *helper, struct room *room, const struct errand *errand, int gate)
{
	struct debug debug = {.helper = helper, .errand = errand, .gate = gate};
	pid_t pid;

	decimal(debug.tid, syscall(SYS_gettid));
	decimal(debug.pid, syscall(SYS_getpid));
	pid = spawn_process(helper, room, debug_main, &debug);
	return pid < 0 ? pid : debug.error;
}
