#include "takeover.h"

/*
 * The crash signal's own action, put there through libc, lends what the kernel wants to know about
 * returning from a handler.
 */
int takeover_begin(struct takeover *t, int crash)
{
	struct kernel_action ours, old;
	int error = kernel_sigaction(crash, NULL, &ours);

	if (error)
		return error;
	ours.handler = (void *)t->handler;
	ours.flags = (ours.flags & ~(unsigned long)(SA_RESETHAND | SA_NODEFER | SA_NOCLDSTOP)) |
		     SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	ours.mask = ~0ull;
	error = kernel_sigaction(t->sig, &ours, &old);
	if (!error && old.handler != ours.handler)
		t->before = old;
	return error;
}

void takeover_end(const struct takeover *t)
{
	kernel_sigaction(t->sig, &t->before, NULL);
}

bool takeover_is_in_force(const struct takeover *t)
{
	struct kernel_action now;

	return kernel_sigaction(t->sig, NULL, &now) == 0 && now.handler == (void *)t->handler;
}

bool takeover_has_before(const struct takeover *t)
{
	return t->before.handler != (void *)SIG_DFL && t->before.handler != (void *)SIG_IGN;
}

void takeover_pass_on(const struct takeover *t, int sig, siginfo_t *info, void *context)
{
	if (takeover_has_before(t))
		((void (*)(int, siginfo_t *, void *))t->before.handler)(sig, info, context);
}
