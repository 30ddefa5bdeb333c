#include "job.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/foreground.h"
#include "command.h"

/* Of the keys that stop or end a job: none of the shell's business. Others tell
 * by SIGTSTP that this is a shell (foreground.c). */
static const int ignored[JOB_IGNORED] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGQUIT};

static void ignore(struct job *j)
{
	static const struct sigaction ignore_it = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < JOB_IGNORED; i++)
		sigaction(ignored[i], &ignore_it, &j->restore[i]);
}

static void heed(const struct job *j)
{
	for (size_t i = 0; i < JOB_IGNORED; i++)
		sigaction(ignored[i], &j->restore[i], NULL);
}

static void give(const struct job *j, pid_t group)
{
	if (j->control)
		foreground_set(STDIN_FILENO, group);
}

void job_init(struct job *j, struct signals *signals, bool control)
{
	*j = (struct job){.signals = signals, .control = control};
	if (!control)
		return;
	/* Started in the background: wait to be brought in front. */
	while ((j->before = tcgetpgrp(STDIN_FILENO)) > 0 && j->before != getpgrp())
		kill(0, SIGTTIN);
	ignore(j);
	setpgid(0, 0); /* a session's leader has one already */
	give(j, getpgrp());
	tcgetattr(STDIN_FILENO, &j->modes);
}

void job_deinit(struct job *j)
{
	while (j->stopped_count > 0) {
		pid_t pid = j->stopped[--j->stopped_count];
		kill(-pid, SIGHUP);
		kill(-pid, SIGCONT);
	}
	if (!j->control)
		return;
	if (j->before > 0)
		give(j, j->before);
	heed(j);
}

static void become(const struct job *j, int argc, char **words)
{
	static char name[] = "ttylock";
	char self[PATH_MAX];
	char **argv = calloc((size_t)argc + 2, sizeof(*argv));

	if (!argv)
		_exit(complain(EXIT_FAILED, "%s", strerror(ENOMEM)));
	argv[0] = name;
	memcpy(argv + 1, words, (size_t)argc * sizeof(*argv));
	if (j->control) {
		setpgid(0, 0);
		give(j, getpid());
		heed(j);
	}
	signals_restore(j->signals);
	/* By its name, which others see as its comm; unless that has gone meanwhile. */
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		execv(self, argv);
	}
	execv("/proc/self/exe", argv);
	_exit(complain(EXIT_FAILED, "cannot execute itself: %s", strerror(errno)));
}

static int await(struct job *j, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, j->control ? WUNTRACED : 0) < 0)
		if (errno != EINTR)
			return complain(EXIT_FAILED, "%s", strerror(errno));
	give(j, getpgrp());
	if (WIFSTOPPED(status))
		j->stopped[j->stopped_count++] = pid;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	/* Who ends by itself has put its settings back. */
	if (j->control)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &j->modes);
	int sig = WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status);
	if (WIFSTOPPED(status))
		fputs("\nstopped; fg lets it go on\n", stderr);
	else if (sig == SIGINT)
		fputc('\n', stderr);
	else
		fprintf(stderr, "%s\n", strsignal(sig));
	return EXIT_SIGNALLED + sig;
}

int job_run(struct job *j, int argc, char **argv)
{
	if (j->stopped_count == JOB_STOPPED)
		return complain(EXIT_FAILED, "too many are stopped: fg lets one go on");
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become(j, argc, argv);
	if (pid < 0)
		return complain(EXIT_FAILED, "%s", strerror(errno));
	if (j->control) {
		setpgid(pid, pid);
		give(j, pid);
	}
	return await(j, pid);
}

int job_resume(struct job *j)
{
	if (j->stopped_count == 0)
		return -ESRCH;
	pid_t pid = j->stopped[--j->stopped_count];
	give(j, pid);
	kill(-pid, SIGCONT);
	return await(j, pid);
}
