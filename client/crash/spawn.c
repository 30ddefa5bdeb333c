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

static int helper_main(void *arg)
{
	struct spawn *spawn = arg;
	const struct helper *helper = spawn->helper;
	int fd = gate_copy(spawn->gate);

	if (fd >= 0) {
		const char *argv[] = {"ttylock", "debug", spawn->errand->option,
		    spawn->errand->value, "--thread", spawn->tid, "--gate", decimal(spawn->fd, fd),
		    spawn->pid, NULL};

		fd = kernel(SYS_execve, helper->path, argv, helper->envp);
	}
	spawn->error = fd;
	syscall(SYS_exit_group, 127);
	return 0;
}

static int middle_main(void *arg)
{
	struct spawn *spawn = arg;
	char *stack = spawn->room->helper_stack + sizeof(spawn->room->helper_stack);

	if (spawn->helper->clone(helper_main, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, spawn) < 0)
		spawn->error = -errno;
	syscall(SYS_exit_group, 0);
	return 0;
}

int spawn_helper(
    const struct helper *helper, struct room *room, const struct errand *errand, int gate)
{
	struct spawn spawn = {.helper = helper, .room = room, .errand = errand, .gate = gate};
	char *stack = room->middle_stack + sizeof(room->middle_stack);
	pid_t middle;

	decimal(spawn.tid, syscall(SYS_gettid));
	decimal(spawn.pid, syscall(SYS_getpid));
	middle = helper->clone(middle_main, stack, CLONE_VM | CLONE_VFORK, &spawn);
	if (middle < 0)
		return -errno;
	kernel(SYS_wait4, middle, NULL, __WALL, NULL);
	return spawn.error;
}
