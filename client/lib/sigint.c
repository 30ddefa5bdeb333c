#include "sigint.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deadline.h"
#include "sigint_hook.h"
#include "terminal.h"

#define CONNECT_MS 5000

/* Of installing and uninstalling; the hook itself takes no lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned count; /* atomic for those who only look */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* With the mask and flags of what it stands before, so that this one is called
 * as if by the kernel. */
static void install(void)
{
	struct sigaction ours;

	sigaction(SIGINT, NULL, &sigint_state.before);
	ours = sigint_state.before;
	ours.sa_sigaction = sigint_hook;
	ours.sa_flags |= SA_SIGINFO;
	ours.sa_flags &= ~SA_RESETHAND;
	__atomic_store_n(&sigint_state.installed, 1, __ATOMIC_RELEASE);
	sigaction(SIGINT, &ours, NULL);
}

static void uninstall(void)
{
	struct sigaction now;

	if (!__atomic_exchange_n(&sigint_state.installed, 0, __ATOMIC_ACQ_REL))
		return;
	/* Somebody has put another one there: theirs. */
	if (sigaction(SIGINT, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
	    now.sa_sigaction == sigint_hook)
		sigaction(SIGINT, &sigint_state.before, NULL);
}

static bool is_open(struct channel *c)
{
	char byte;

	return c->fd >= 0 &&
	       (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0 || errno == EAGAIN);
}

/* The hook's own connection is made once and kept: the hook may be using it. */
static int connect_hook(struct link *l)
{
	sigset_t sigint, old;
	int r = 0;

	sigemptyset(&sigint);
	sigaddset(&sigint, SIGINT);
	pthread_sigmask(SIG_BLOCK, &sigint, &old);
	if (!is_open(&sigint_state.channel)) {
		while (__atomic_exchange_n(&sigint_state.busy, 1, __ATOMIC_ACQUIRE))
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		channel_close(&sigint_state.channel);
		r = link_connect_beside(l, &sigint_state.channel, deadline_in(CONNECT_MS));
		__atomic_store_n(&sigint_state.busy, 0, __ATOMIC_RELEASE);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

/* In the child of a fork: no shields, and what was there before us is back. */
static void forget(void)
{
	pthread_mutex_init(&lock, NULL);
	if (count)
		uninstall();
	count = 0;
	memset(sigint_state.shields, 0, sizeof(sigint_state.shields));
	sigint_state.busy = 0;
	if (sigint_state.channel.fd >= 0)
		close(sigint_state.channel.fd);
	sigint_state.channel.fd = -1;
}

static void set_up(void)
{
	pthread_atfork(NULL, NULL, forget);
}

static struct shield *find_free(void)
{
	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++)
		if (!sigint_state.shields[i].used)
			return &sigint_state.shields[i];
	return NULL;
}

int sigint_shield(struct ttylock *t, const struct ttylock_wish *wish, struct shield **outp)
{
	int r = -EUSERS;

	pthread_mutex_lock(&lock);
	struct shield *s = find_free();
	if (s)
		r = connect_hook(t->link);
	if (r == 0) {
		pthread_once(&once, set_up);
		*s = (struct shield){
		    .wake = t->wake,
		    .tty = t->tty,
		    .owner = (uint64_t)(uintptr_t)t,
		    .waiting = wish != NULL,
		    .redraw = wish ? wish->redraw : NULL,
		    .redraw_arg = wish ? wish->redraw_arg : NULL,
		};
		terminal_path(t->tty, s->terminal, sizeof(s->terminal));
		__atomic_store_n(&s->used, 1, __ATOMIC_RELEASE);
		if (__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED) == 0)
			install();
		*outp = s;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

void sigint_unshield(struct shield *s)
{
	pthread_mutex_lock(&lock);
	__atomic_store_n(&s->used, 0, __ATOMIC_RELEASE);
	if (__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED) == 0)
		uninstall();
	pthread_mutex_unlock(&lock);
}

struct shield *sigint_find(const struct ttylock *t, uint64_t request)
{
	struct shield *found = NULL;

	if (!__atomic_load_n(&count, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < SIGINT_SHIELDS_MAX && !found; i++) {
		struct shield *s = &sigint_state.shields[i];
		if (s->used && s->owner == (uint64_t)(uintptr_t)t && s->request == request)
			found = s;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

struct shield *sigint_next(const struct ttylock *t, struct shield *after)
{
	struct shield *s = after ? after + 1 : sigint_state.shields;

	if (!__atomic_load_n(&count, __ATOMIC_RELAXED))
		return NULL;
	for (; s < sigint_state.shields + SIGINT_SHIELDS_MAX; s++)
		if (__atomic_load_n(&s->used, __ATOMIC_ACQUIRE) && s->request &&
		    s->owner == (uint64_t)(uintptr_t)t)
			return s;
	return NULL;
}

unsigned sigint_kept_back(void)
{
	return __atomic_load_n(&sigint_state.kept_back, __ATOMIC_ACQUIRE);
}
