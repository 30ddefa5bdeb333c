#include "sigint_hook.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "deadline.h"
#include "sync_point.h"

#define ANSWER_MS 200
#define ESCAPE_MS 2000

struct sigint_state sigint_state = {.channel = {.fd = -1}};

enum verdict {
	PASS_ON_NOBODY = 1, /* nobody has the terminal */
	PASS_ON_NO_ANSWER,  /* or the daemon does not say who has */
	PASS_ON_ESCAPE,	    /* whoever has it */
	KEEP_MINE,	    /* this process has it */
	KEEP_OTHERS,	    /* a living other has it */
	KEEP_SILENT,	    /* an outer call in this thread decides */
};

/* The third press within two seconds. */
static int escapes(void)
{
	unsigned n = __atomic_fetch_add(&sigint_state.pressed, 1, __ATOMIC_RELAXED);
	int64_t now = clock_ms();
	int64_t *presses = sigint_state.presses;

	__atomic_store_n(&presses[n % SIGINT_PRESSES], now, __ATOMIC_RELAXED);
	int64_t first = __atomic_load_n(&presses[(n + 1) % SIGINT_PRESSES], __ATOMIC_RELAXED);
	return first && now - first <= ESCAPE_MS;
}

static int is_up(const struct shield *s)
{
	return __atomic_load_n(&s->used, __ATOMIC_SEQ_CST);
}

/* A shield of that terminal, of a holder rather than of one who waits. */
static const struct shield *find_shield(const char *terminal)
{
	const struct shield *found = NULL;

	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++) {
		const struct shield *s = &sigint_state.shields[i];
		if (!is_up(s) || strcmp(s->terminal, terminal) != 0)
			continue;
		found = s;
		if (!__atomic_load_n(&s->waiting, __ATOMIC_RELAXED))
			break;
	}
	return found;
}

/* Takes in who holds a terminal: the shield before it, unless one is found
 * already. This process comes before others. */
static void weigh(const ttylock_Entry *entry, const struct shield **found)
{
	const struct shield *s = entry->position == 0 ? find_shield(entry->terminal) : NULL;

	if (s && (!*found || entry->pid == getpid())) {
		*found = s;
		sigint_state.holder = *entry;
	}
}

/* A daemon may have been started anew, and one that is just coming may take a
 * moment. 0 or -errno. */
static int reconnect(int64_t deadline)
{
	struct channel *c = &sigint_state.channel;
	ttylock_Envelope *e = &sigint_state.frame;
	int r;

	while ((r = channel_reconnect(c, sigint_state.socket)) < 0 && deadline_left(deadline) > 0)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	if (r < 0)
		return r;
	memset(e, 0, sizeof(*e));
	e->which_body = ttylock_Envelope_hello_tag;
	e->body.hello.version = 1;
	return channel_send(c, e, -1, deadline);
}

/* As ask_holder(); -ECONNRESET: that daemon is gone. */
static int ask_once(const struct shield **found, int64_t deadline)
{
	struct channel *c = &sigint_state.channel;
	ttylock_Envelope *e = &sigint_state.frame;

	memset(e, 0, sizeof(*e));
	e->which_body = ttylock_Envelope_status_query_tag;
	e->body.status_query.query = ++sigint_state.queries;
	int r = channel_send(c, e, -1, deadline);
	if (r < 0)
		return r;
	for (;;) {
		r = channel_receive(c, e, deadline);
		const ttylock_StatusReport *m = &e->body.status_report;
		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? r : -ETIMEDOUT;
		if (e->which_body != ttylock_Envelope_status_report_tag ||
		    m->query != sigint_state.queries)
			continue; /* late, of a question before; or Welcome */
		if (m->last)
			return 0;
		weigh(&m->entry, found);
	}
}

/* Asks the daemon who holds our terminals: 0, with one that is somebody's in
 * *found and the state's holder; -errno: no answer, so nobody that counts. */
static int ask_holder(const struct shield **found)
{
	int64_t deadline = deadline_in(ANSWER_MS);

	if (sigint_state.channel.fd < 0)
		return -ECONNRESET;
	int r = ask_once(found, deadline);
	if (r == -ECONNRESET && (r = reconnect(deadline)) == 0)
		r = ask_once(found, deadline);
	return r;
}

int sigint_claim(void)
{
	int nobody = 0;

	return __atomic_compare_exchange_n(&sigint_state.asking, &nobody, (int)syscall(SYS_gettid),
	    0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void sigint_unclaim(void)
{
	__atomic_store_n(&sigint_state.asking, 0, __ATOMIC_RELEASE);
}

static char *put(char *at, const char *end, const char *text)
{
	while (at < end && *text)
		*at++ = *text++;
	return at;
}

static char *put_number(char *at, const char *end, unsigned long n)
{
	char digits[24], *d = digits + sizeof(digits) - 1;

	*d = '\0';
	do
		*--d = (char)('0' + n % 10);
	while (n /= 10);
	return put(at, end, d);
}

/* Never waits, for output may be stopped (Ctrl-S); nor is it stopped itself for
 * writing from the background. */
static void write_line(int tty, const char *line, size_t len)
{
	struct pollfd p = {.fd = tty, .events = POLLOUT};
	sigset_t ttou, old;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	if (poll(&p, 1, 0) > 0 && (p.revents & POLLOUT) && write(tty, line, len) < 0)
		p.revents = 0; /* hung up: nobody to tell */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static char *put_holder(char *at, const char *end, const ttylock_Entry *holder)
{
	if (holder->hidden)
		return put(at, end, "kept back: another user has the terminal");
	at = put(at, end, "kept back: ");
	at = put(at, end, holder->comm);
	at = put(at, end, " (pid ");
	at = put_number(at, end, (unsigned long)holder->pid);
	at = put(at, end, ") has the terminal: ");
	return put(at, end, holder->text);
}

static void say(int tty, enum verdict verdict, const ttylock_Entry *holder)
{
	char line[400], *at = line, *end = line + sizeof(line) - 2;

	at = put(at, end, "\r\nttylock: Ctrl-C ");
	switch (verdict) {
	case PASS_ON_NOBODY:
		at = put(at, end, "passed on: nobody has the terminal");
		break;
	case PASS_ON_NO_ANSWER:
		at = put(at, end, "passed on: the daemon does not say who has the terminal");
		break;
	case PASS_ON_ESCAPE:
		at = put(at, end, "passed on: the third within two seconds");
		break;
	case KEEP_MINE:
		at = put(at, end, "kept back: this process has the terminal");
		break;
	case KEEP_OTHERS:
		at = put_holder(at, end, holder);
		break;
	case KEEP_SILENT:
		return;
	}
	*at++ = '\r';
	*at++ = '\n';
	write_line(tty, line, (size_t)(at - line));
}

/* 0; else why the daemon cannot be asked. */
static enum verdict await_claim(void)
{
	int64_t deadline = deadline_in(2 * ANSWER_MS);

	while (!sigint_claim()) {
		if (__atomic_load_n(&sigint_state.asking, __ATOMIC_RELAXED) ==
		    (int)syscall(SYS_gettid))
			return KEEP_SILENT;
		if (deadline_left(deadline) == 0)
			return PASS_ON_NO_ANSWER;
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
	return 0;
}

/* Decides and says so. *shield is any; it becomes that of the terminal which
 * decided. */
static enum verdict judge(const struct shield **shield)
{
	const struct shield *found = NULL;
	enum verdict verdict = escapes() ? PASS_ON_ESCAPE : await_claim();

	if (verdict) {
		say((*shield)->tty, verdict, NULL);
		return verdict;
	}
	const ttylock_Entry *holder = &sigint_state.holder;
	if (ask_holder(&found) < 0)
		verdict = PASS_ON_NO_ANSWER;
	else if (!found)
		verdict = PASS_ON_NOBODY;
	else
		verdict = holder->pid == getpid() ? KEEP_MINE : KEEP_OTHERS;
	if (found)
		*shield = found;
	say((*shield)->tty, verdict, holder);
	sigint_unclaim();
	return verdict;
}

/* Takes back every request that waits: nothing can come of them. */
static void cancel_waiting(void)
{
	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++) {
		struct shield *s = &sigint_state.shields[i];
		uint64_t one = 1;
		if (!__atomic_load_n(&s->used, __ATOMIC_ACQUIRE) ||
		    !__atomic_load_n(&s->waiting, __ATOMIC_RELAXED))
			continue;
		__atomic_store_n(&s->cancelled, 1, __ATOMIC_RELEASE);
		if (s->wake >= 0 && write(s->wake, &one, sizeof(one)) < 0)
			continue; /* full: it is awake already */
	}
}

/* The handler that is to be called. As the kernel does at a call, SA_RESETHAND
 * puts the default there. */
static struct sigaction take_before(void)
{
	struct sigaction before = sigint_state.before;

	if (before.sa_flags & SA_RESETHAND)
		sigint_state.before.sa_handler = SIG_DFL;
	return before;
}

/* As the kernel would have called it; our own action has its mask and flags. */
static void pass_on(const struct sigaction *before, int sig, siginfo_t *info, void *context)
{
	if (before->sa_handler == SIG_IGN)
		return;
	if (before->sa_handler == SIG_DFL) {
		/* Delivered when we return, by the default action. */
		sigaction(sig, before, NULL);
		__atomic_store_n(&sigint_state.installed, 0, __ATOMIC_RELEASE);
		syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), sig);
	} else if (before->sa_flags & SA_SIGINFO) {
		before->sa_sigaction(sig, info, context);
	} else {
		before->sa_handler(sig);
	}
}

static const struct shield *first_shield(void)
{
	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++)
		if (is_up(&sigint_state.shields[i]))
			return &sigint_state.shields[i];
	return NULL;
}

/* All that looks at shields. Whether to pass the signal on. */
static int decide(void)
{
	const struct shield *shield = first_shield();

	if (!shield)
		return 1; /* the last one has just gone, or somebody chains to us */
	enum verdict verdict = judge(&shield);
	SYNC_POINT("sigint.judged");
	if (verdict == KEEP_MINE && is_up(shield) && shield->redraw)
		shield->redraw(shield->redraw_arg);
	if (verdict == KEEP_MINE || verdict == KEEP_OTHERS || verdict == KEEP_SILENT) {
		__atomic_add_fetch(&sigint_state.kept_back, 1, __ATOMIC_RELEASE);
		return 0;
	}
	cancel_waiting();
	return 1;
}

void sigint_hook(int sig, siginfo_t *info, void *context)
{
	struct sigaction before;
	int error = errno, passed = 1;

	__atomic_add_fetch(&sigint_state.inside, 1, __ATOMIC_SEQ_CST);
	SYNC_POINT("sigint.taken");
	if (__atomic_load_n(&sigint_state.process, __ATOMIC_RELAXED) == getpid())
		passed = decide();
	if (passed)
		before = take_before();
	__atomic_sub_fetch(&sigint_state.inside, 1, __ATOMIC_SEQ_CST);
	errno = error;
	SYNC_POINT("sigint.passing-on");
	if (passed)
		pass_on(&before, sig, info, context);
	errno = error;
}
