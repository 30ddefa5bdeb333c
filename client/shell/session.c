#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/foreground.h"
#include "../lib/procfs.h"
#include "../lib/terminal.h"
#include "command.h"
#include "tree.h"

/* How often an orphaned one looks whether its terminal is a shell's now. */
#define ORPHAN_MS 250
/* Between two looks at a program that is stopped for not being in front. */
#define STOPPED_MS 1000

/* 0, 1, 2 become the terminal. As /dev/tty where that is the same one: gdb
 * then does not take the program's terminal for its own and so keeps Ctrl-C to
 * itself while the program runs, instead of giving the program's whole process
 * group the foreground. */
static int use_terminal(int tty)
{
	char path[64];

	int fd = terminal_is_controlling(tty) ? open("/dev/tty", O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0 && terminal_path(tty, path, sizeof(path)) == 0)
		fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = tty;
	for (int std = 0; std <= 2; std++)
		if (dup2(fd, std) < 0)
			return -errno;
	return 0;
}

/* In the child: waits at the gate until it has the terminal, then becomes the
 * program. Reports its errno into `report`. */
static void become(struct session *s, pid_t parent, int gate, int report)
{
	char byte;
	int error = 0;

	setpgid(0, 0);
	/* The debugger of a dead holder must not stay on the terminal. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || read(gate, &byte, 1) != 1)
		_exit(1);
	if (!s->own_stdio)
		error = use_terminal(s->turn->lock->tty);
	if (!error) {
		if (s->own_stdio)
			signals_restore(s->turn->signals);
		else
			signals_reset();
		execvp(s->argv[0], s->argv);
		error = -errno;
	}
	if (write(report, &error, sizeof(error)) < 0)
		_exit(2);
	_exit(1);
}

static void resume(struct session *s, pid_t pid)
{
	handover_lend(&s->turn->handover);
	if (!s->suspended(s))
		return;
	turn_give(s->turn, pid);
	kill(-pid, SIGCONT);
}

/* The lock was taken from us by force, or the daemon is gone: true if the
 * program has to go. Without a daemon the person goes on. */
static bool is_deprived(struct turn *t)
{
	struct ttylock_status s;

	return ttylock_dispatch(t->lock, 0) != -ECONNRESET &&
	       ttylock_get_status(t->lock, t->id, &s) == 0 && s.state != TTYLOCK_GRANTED;
}

static bool is_in_background(int stopped_by)
{
	return stopped_by == SIGTTIN || stopped_by == SIGTTOU;
}

/* Stopped for reading or writing, it is not in front: somebody was served on top
 * of us, whose end lets it go on; that may have been just now. Or somebody took it. */
static void take_stop(struct session *s, pid_t pid, int sig)
{
	if (!is_in_background(sig))
		resume(s, pid);
	else if (tcgetpgrp(s->turn->lock->tty) == pid ||
		 (!s->own_stdio && turn_give_again(s->turn)))
		kill(-pid, SIGCONT);
}

/* It was left stopped for not being in front, and nobody tells when it is time to go on: a
 * shell may have brought back the job, or somebody on top of us may have ended who took it
 * for one that was stopped before. By what it is stopped, or 0. */
static int look_again(struct session *s, pid_t pid, int sig)
{
	if (!is_in_background(sig) || !procfs_is_stopped(pid))
		return 0;
	take_stop(s, pid, sig);
	return sig;
}

/* A debugger leaves nothing behind on the terminal; a command may. */
static int end_rest(struct session *s, pid_t pgrp, int status)
{
	if (!s->own_stdio)
		kill(-pgrp, SIGKILL);
	return status;
}

/* We are to end: a command is told so and may clean up (stopped, it must go on
 * to hear it); a debugger must be gone. */
static void end_program(const struct session *s, pid_t pid, int sig)
{
	if (!s->own_stdio) {
		kill(-pid, SIGKILL);
		return;
	}
	kill(pid, sig);
	kill(pid, SIGCONT);
}

/* Ctrl-C that reaches us was typed while our own group was in front: before a
 * command comes to the foreground, or comes back to it. A debugger has nothing to
 * end yet, and its person is to be asked. */
static void take_signal(const struct session *s, pid_t pid, int sig)
{
	if (sig == SIGINT && s->own_stdio)
		kill(-pid, SIGINT);
	else if (sig != SIGCHLD && sig != SIGINT)
		end_program(s, pid, sig);
}

/* The end of the tree's agent is told by this pidfd; -1: there is none. */
static int open_agent(const struct session *s)
{
	pid_t agent = s->own_stdio ? 0 : tree_agent();

	return agent ? (int)syscall(SYS_pidfd_open, agent, 0) : -1;
}

/* Nobody can bring it in front again: the agent has ended, which a shell knew the job by,
 * and that shell has taken the terminal. */
static void end_if_lost(const struct session *s, pid_t pid)
{
	if (s->own_stdio || !tree_is_orphaned() ||
	    !foreground_elsewhere(s->turn->lock->tty, s->turn->job))
		return;
	complain(0, "a debugger ends: its 'ttylock run' has ended, and a shell has the terminal");
	kill(-pid, SIGKILL);
}

/* Taken from us by force, maybe. */
static void take_news(struct turn *t, pid_t pid)
{
	if (!is_deprived(t))
		return;
	turn_ask_by(t, t->id);
	complain(0, "the terminal was taken from pid %d by force: by %s", (int)getpid(), t->by);
	kill(-pid, SIGKILL);
}

/* When to look again at what nobody tells of; -1: not at all. */
static int look_ms(const struct session *s, bool orphaned, bool stopped)
{
	if (orphaned)
		return ORPHAN_MS;
	int ms = handover_check_ms(&s->turn->handover);
	return stopped && ms < 0 ? STOPPED_MS : ms;
}

static int await_end(struct session *s, pid_t pid, int agent)
{
	struct turn *t = s->turn;
	struct pollfd p[] = {{.fd = t->signals->fd, .events = POLLIN},
	    {.fd = ttylock_fd(t->lock), .events = POLLIN}, {.fd = agent, .events = POLLIN}};
	struct signalfd_siginfo info;
	bool orphaned = !s->own_stdio && tree_is_orphaned();
	int status, sig = 0; /* its last stop, 0: it goes on */

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG | WUNTRACED);
		if (got == pid && !WIFSTOPPED(status))
			return end_rest(s, pid, status);
		if (got == pid)
			take_stop(s, pid, sig = WSTOPSIG(status));
		else if (got < 0 && errno != EINTR)
			return -errno;
		p[1].fd = ttylock_fd(t->lock); /* -1 once the daemon is gone */
		int ready = poll(p, 3, look_ms(s, orphaned, is_in_background(sig)));
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0) {
			handover_check(&t->handover);
			end_if_lost(s, pid);
			sig = look_again(s, pid, sig);
		}
		if (p[2].revents) {
			p[2].fd = -1;
			orphaned = true;
		}
		while (signals_next(t->signals, &info))
			take_signal(s, pid, (int)info.ssi_signo);
		if (p[1].fd >= 0 && p[1].revents)
			take_news(t, pid);
	}
}

int session_run(struct session *s)
{
	int gate[2], report[2], error = 0;
	pid_t self = getpid();

	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(report, O_CLOEXEC) < 0) {
		error = -errno;
		close(gate[0]);
		close(gate[1]);
		return error;
	}
	pid_t pid = fork();
	if (pid == 0)
		become(s, self, gate[0], report[1]);
	error = pid < 0 ? -errno : 0;
	close(gate[0]);
	close(report[1]);
	if (pid > 0) {
		setpgid(pid, pid);
		turn_give(s->turn, pid);
		if (write(gate[1], "", 1) != 1 || read(report[0], &error, sizeof(error)) < 0)
			error = -errno;
	}
	close(gate[1]);
	close(report[0]);
	if (pid < 0)
		return error;
	int agent = open_agent(s);
	int status = await_end(s, pid, agent);
	if (agent >= 0)
		close(agent);
	return error ? error : status;
}
