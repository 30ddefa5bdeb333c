#include "signals.h"

#include <errno.h>
#include <unistd.h>

int signals_open(struct signals *s, const int *list)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t set;

	sigaction(SIGCHLD, &dfl, &s->child_before);
	sigemptyset(&set);
	for (; *list; list++)
		sigaddset(&set, *list);
	s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	sigprocmask(SIG_BLOCK, &set, &s->before);
	return 0;
}

void signals_restore(const struct signals *s)
{
	sigaction(SIGCHLD, &s->child_before, NULL);
	sigprocmask(SIG_SETMASK, &s->before, NULL);
}

int signals_next(struct signals *s, struct signalfd_siginfo *info)
{
	return read(s->fd, info, sizeof(*info)) == sizeof(*info);
}

int signal_was_sent(const struct signalfd_siginfo *info)
{
	return info->ssi_code <= 0;
}

void signals_reset(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
