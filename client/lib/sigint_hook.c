#include "sigint_hook.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "deadline.h"

#define ANSWER_MS 200
#define ESCAPE_MS 2000

struct sigint_state sigint_state = {.channel = {.fd = -1}};

enum verdict {
	PASS_ON,     /* nobody has the terminal */
	KEEP_MINE,   /* this process has it */
	KEEP_OTHERS, /* a living other has it */
};

/* The third press within two seconds. */
static int escapes(void)
{
	int64_t *p = sigint_state.presses;

	p[2] = p[1];
	p[1] = p[0];
	p[0] = clock_ms();
	return p[2] && p[0] - p[2] <= ESCAPE_MS;
}

/* Asks the daemon who holds the terminal: 1 and *holder; 0: nobody; -1: no
 * answer, so nobody that counts. */
static int ask_holder(const char *terminal, ttylock_Entry *holder)
{
	struct channel *c = &sigint_state.channel;
	int64_t deadline = deadline_in(ANSWER_MS);
	ttylock_Envelope e;
	int found = 0;

	memset(&e, 0, sizeof(e));
	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = ++sigint_state.queries;
	if (c->fd < 0 || channel_send(c, &e, -1, deadline) < 0)
		return -1;
	for (;;) {
		int r = channel_receive(c, &e, deadline);
		const ttylock_StatusReport *m = &e.body.status_report;
		if (r == -EINTR)
			continue;
		if (r <= 0)
			return -1;
		if (e.which_body != ttylock_Envelope_status_report_tag ||
		    m->query != sigint_state.queries)
			continue; /* late, of a question before */
		if (m->last)
			return found;
		if (m->entry.position == 0 && !strcmp(m->entry.terminal, terminal)) {
			*holder = m->entry;
			found = 1;
		}
	}
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

static void say(const struct shield *s, enum verdict verdict, const ttylock_Entry *holder)
{
	char line[400], *at = line, *end = line + sizeof(line) - 2;

	at = put(at, end, "\r\nttylock: Ctrl-C ");
	if (verdict == PASS_ON) {
		at = put(at, end, "passed on: nobody has the terminal");
	} else if (verdict == KEEP_MINE) {
		at = put(at, end, "kept back: this process has the terminal");
	} else if (holder->hidden) {
		at = put(at, end, "kept back: another user has the terminal");
	} else {
		at = put(at, end, "kept back: ");
		at = put(at, end, holder->comm);
		at = put(at, end, " (pid ");
		at = put_number(at, end, (unsigned long)holder->pid);
		at = put(at, end, ") has the terminal: ");
		at = put(at, end, holder->text);
	}
	*at++ = '\r';
	*at++ = '\n';
	if (write(s->tty, line, (size_t)(at - line)) < 0)
		return; /* hung up */
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

/* To what was there before us, as the kernel would have called it; our own
 * action has its mask and flags. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction before = sigint_state.before;

	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(sig, info, context);
	} else if (before.sa_handler == SIG_DFL) {
		/* Delivered when we return, by the default action. */
		sigaction(sig, &before, NULL);
		__atomic_store_n(&sigint_state.installed, 0, __ATOMIC_RELEASE);
		syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), sig);
	} else if (before.sa_handler != SIG_IGN) {
		before.sa_handler(sig);
	}
}

static const struct shield *first_shield(void)
{
	for (int i = 0; i < SIGINT_SHIELDS_MAX; i++)
		if (__atomic_load_n(&sigint_state.shields[i].used, __ATOMIC_ACQUIRE))
			return &sigint_state.shields[i];
	return NULL;
}

static enum verdict judge(const struct shield *s, ttylock_Entry *holder)
{
	if (!s || escapes() || ask_holder(s->terminal, holder) <= 0)
		return PASS_ON;
	return holder->pid == getpid() ? KEEP_MINE : KEEP_OTHERS;
}

void sigint_hook(int sig, siginfo_t *info, void *context)
{
	int error = errno;
	ttylock_Entry holder;

	/* Two at once, in two threads: one of them speaks for both. */
	if (__atomic_exchange_n(&sigint_state.busy, 1, __ATOMIC_ACQUIRE)) {
		__atomic_add_fetch(&sigint_state.kept_back, 1, __ATOMIC_RELEASE);
		errno = error;
		return;
	}
	const struct shield *s = first_shield();
	enum verdict verdict = judge(s, &holder);
	if (s)
		say(s, verdict, &holder);
	if (verdict == PASS_ON)
		cancel_waiting();
	else
		__atomic_add_fetch(&sigint_state.kept_back, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&sigint_state.busy, 0, __ATOMIC_RELEASE);
	if (verdict == PASS_ON)
		pass_on(sig, info, context);
	else if (verdict == KEEP_MINE && s->redraw)
		s->redraw(s->redraw_arg);
	errno = error;
}
