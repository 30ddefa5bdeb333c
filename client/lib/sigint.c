#include "sigint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "atfork.h"
#include "deadline.h"
#include "sigint_hook.h"
#include "sync_point.h"
#include "terminal.h"

#define CONNECT_MS 5000
#define HOOK_MS	   1000

/* The hook itself takes none of these. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;       /* of the shields; held briefly */
static pthread_mutex_t connecting = PTHREAD_MUTEX_INITIALIZER; /* before lock */
static unsigned count; /* of the shields; atomic for those who only look */

/* --- the hook ------------------------------------------------------------- */

/* Until no thread is in the hook any more that could have seen what was before.
 * It takes milliseconds there; a redraw that never returns does not hold us for
 * ever. */
static void await_hook(void)
{
	int64_t deadline = deadline_in(HOOK_MS);

	while (
	    __atomic_load_n(&sigint_state.inside, __ATOMIC_SEQ_CST) && deadline_left(deadline) > 0)
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

/* What the kernel has, whatever its layout: sigaction(3) adds a flag to all that
 * goes through it, and what is put back shall be what was there. */
static unsigned char raw[256];

static int exchange_raw(const void *set, void *get)
{
	return (int)syscall(SYS_rt_sigaction, SIGINT, set, get, _NSIG / 8);
}

static bool is_ours(const struct sigaction *now)
{
	return (now->sa_flags & SA_SIGINFO) && now->sa_sigaction == sigint_hook;
}

/* With the mask and flags of what it stands before, so that this one is called
 * as if by the kernel. */
static void install(void)
{
	struct sigaction now, ours;

	sigaction(SIGINT, NULL, &now);
	/* Ours already: somebody who found it there has put it back. */
	if (!is_ours(&now)) {
		await_hook();
		sigint_state.before = now;
		exchange_raw(NULL, raw);
	}
	ours = sigint_state.before;
	/* Neither of these would interrupt a system call. */
	if (ours.sa_handler == SIG_IGN || ours.sa_handler == SIG_DFL)
		ours.sa_flags |= SA_RESTART;
	ours.sa_sigaction = sigint_hook;
	ours.sa_flags |= SA_SIGINFO;
	ours.sa_flags &= ~SA_RESETHAND;
	__atomic_store_n(&sigint_state.process, getpid(), __ATOMIC_RELAXED);
	__atomic_store_n(&sigint_state.installed, 1, __ATOMIC_RELEASE);
	SYNC_POINT("sigint.hook-announced");
	sigaction(SIGINT, &ours, NULL);
}

static void uninstall(void)
{
	struct sigaction now;

	if (!__atomic_exchange_n(&sigint_state.installed, 0, __ATOMIC_ACQ_REL))
		return;
	/* Somebody has put another one there: theirs. */
	if (sigaction(SIGINT, NULL, &now) < 0 || !is_ours(&now))
		return;
	/* The hook has changed it (SA_RESETHAND), or it is as it was found. */
	if ((sigint_state.before.sa_flags & SA_RESETHAND) || exchange_raw(raw, NULL) < 0)
		sigaction(SIGINT, &sigint_state.before, NULL);
}

/* --- its connection ------------------------------------------------------- */

static bool is_open(const struct channel *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return c->fd >= 0 && poll(&p, 1, 0) == 0;
}

/* Keeps the hook from the connection, in this thread by blocking the signal. */
static void claim(sigset_t *old)
{
	sigset_t sigint;

	sigemptyset(&sigint);
	sigaddset(&sigint, SIGINT);
	pthread_sigmask(SIG_BLOCK, &sigint, old);
	/* Not for ever: a host may have jumped out of the hook. */
	for (int64_t deadline = deadline_in(HOOK_MS);
	     !sigint_claim() && deadline_left(deadline) > 0;)
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

static void unclaim(const sigset_t *old)
{
	sigint_unclaim();
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* While there is no daemon, one that is to be connected: the hook does that
 * itself, should it be wanted. */
static int connect_hook(struct link *l)
{
	struct channel fresh;
	sigset_t old;

	if (is_open(&sigint_state.channel))
		return link_is_alive(l) ? 0 : -ECONNRESET;
	int r = link_connect_beside(l, &fresh, deadline_in(CONNECT_MS));
	if (r == -ECONNRESET && link_is_alive(l)) {
		r = channel_open(&fresh);
		fresh.listener = l->channel.listener;
	}
	if (r < 0)
		return r;
	claim(&old);
	channel_close(&sigint_state.channel);
	channel_move(&sigint_state.channel, &fresh);
	strcpy(sigint_state.socket, l->socket);
	unclaim(&old);
	return 0;
}

void sigint_rest(void)
{
	sigset_t old;

	pthread_mutex_lock(&connecting);
	if (!__atomic_load_n(&count, __ATOMIC_RELAXED) && sigint_state.channel.fd >= 0) {
		claim(&old);
		channel_close(&sigint_state.channel);
		unclaim(&old);
	}
	pthread_mutex_unlock(&connecting);
}

/* --- fork ----------------------------------------------------------------- */

static void before_fork(void)
{
	atfork_take(&lock);
}

static void after_fork_parent(void)
{
	atfork_give(&lock);
}

/* No shields, and what was there before us is back. */
static void after_fork_child(void)
{
	atfork_inherit(&lock);
	pthread_mutex_init(&connecting, NULL);
	uninstall();
	count = 0;
	memset(sigint_state.shields, 0, sizeof(sigint_state.shields));
	sigint_state.asking = 0;
	sigint_state.inside = 0;
}

static struct atfork on_fork = {before_fork, after_fork_parent, after_fork_child, NULL, false};

/* --- shields -------------------------------------------------------------- */

static struct shield *find_free(void)
{
	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++)
		if (!sigint_state.shields[i].used)
			return &sigint_state.shields[i];
	return NULL;
}

/* The terminal once more, so that its being set not to wait is nobody else's
 * affair. Without it (no permission) the hook looks first, and may be wrong. */
static void open_line(struct ttylock *t)
{
	char path[32];

	if (t->line >= 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->tty);
	t->line = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int put_up(
    struct ttylock *t, const struct ttylock_wish *wish, int wake, struct shield **outp)
{
	struct shield *s = find_free();

	if (!s)
		return -EUSERS;
	s->wake = wake;
	s->tty = t->line >= 0 ? t->line : t->tty;
	s->owner = t;
	s->redraw = wish ? wish->redraw : NULL;
	s->redraw_arg = wish ? wish->redraw_arg : NULL;
	s->terminal[0] = '\0';
	terminal_path(t->tty, s->terminal, sizeof(s->terminal));
	__atomic_store_n(&s->request, wish ? SHIELD_COMING : SHIELD_ALONE, __ATOMIC_RELAXED);
	__atomic_store_n(&s->cancelled, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->waiting, wish != NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&s->used, 1, __ATOMIC_RELEASE);
	if (__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED) == 0)
		install();
	*outp = s;
	return 0;
}

int sigint_shield(
    struct ttylock *t, const struct ttylock_wish *wish, int wake, struct shield **outp)
{
	int r = atfork_register(&on_fork);
	if (r < 0)
		return r;
	pthread_mutex_lock(&connecting);
	r = connect_hook(t->link);
	if (r == 0) {
		open_line(t);
		atfork_lock(&lock);
		r = put_up(t, wish, wake, outp);
		atfork_unlock(&lock);
	}
	pthread_mutex_unlock(&connecting);
	return r;
}

void sigint_name(struct shield *s, uint64_t request)
{
	__atomic_store_n(&s->request, request, __ATOMIC_RELEASE);
}

static struct shield *find_locked(const struct ttylock *t, uint64_t request)
{
	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++) {
		struct shield *s = &sigint_state.shields[i];
		if (s->used && s->owner == t &&
		    __atomic_load_n(&s->request, __ATOMIC_ACQUIRE) == request)
			return s;
	}
	return NULL;
}

/* With the lock held where there is one; NULL: unlocked again. */
static struct shield *find_and_lock(const struct ttylock *t, uint64_t request)
{
	if (!__atomic_load_n(&count, __ATOMIC_RELAXED))
		return NULL;
	atfork_lock(&lock);
	struct shield *s = find_locked(t, request);
	if (!s)
		atfork_unlock(&lock);
	return s;
}

static void take_down_locked(struct shield *s)
{
	__atomic_store_n(&s->used, 0, __ATOMIC_SEQ_CST);
	SYNC_POINT("sigint.unshielding");
	if (__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED) == 0)
		uninstall();
	/* The hook may still use its descriptors, which end with the handle. */
	await_hook();
}

int sigint_unshield(const struct ttylock *t, uint64_t request)
{
	struct shield *s = find_and_lock(t, request);

	if (!s)
		return -ENOENT;
	take_down_locked(s);
	atfork_unlock(&lock);
	return 0;
}

void sigint_drop(struct shield *s)
{
	atfork_lock(&lock);
	take_down_locked(s);
	atfork_unlock(&lock);
}

bool sigint_has(const struct ttylock *t, uint64_t request)
{
	const struct shield *s = find_and_lock(t, request);

	if (s)
		atfork_unlock(&lock);
	return s != NULL;
}

bool sigint_is_cancelled(const struct ttylock *t, uint64_t request)
{
	const struct shield *s = find_and_lock(t, request);

	if (!s)
		return false;
	bool cancelled = __atomic_load_n(&s->cancelled, __ATOMIC_ACQUIRE);
	atfork_unlock(&lock);
	return cancelled;
}

void sigint_settle(const struct ttylock *t, uint64_t request)
{
	struct shield *s = find_and_lock(t, request);

	if (!s)
		return;
	__atomic_store_n(&s->waiting, 0, __ATOMIC_RELAXED);
	atfork_unlock(&lock);
}

size_t sigint_waiting(const struct ttylock *t, uint64_t out[SIGINT_SHIELDS_MAX])
{
	size_t n = 0;

	if (!__atomic_load_n(&count, __ATOMIC_RELAXED))
		return 0;
	atfork_lock(&lock);
	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++) {
		const struct shield *s = &sigint_state.shields[i];
		uint64_t request = __atomic_load_n(&s->request, __ATOMIC_ACQUIRE);
		if (s->used && s->owner == t && request != SHIELD_ALONE &&
		    request != SHIELD_COMING && __atomic_load_n(&s->waiting, __ATOMIC_RELAXED))
			out[n++] = request;
	}
	atfork_unlock(&lock);
	return n;
}

unsigned sigint_kept_back(void)
{
	return __atomic_load_n(&sigint_state.kept_back, __ATOMIC_ACQUIRE);
}
