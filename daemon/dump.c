#include "dump.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

/* Lines of each list. */
#define LINES_MAX  1000
#define FRAMES_MAX 64

struct dump {
	const struct broker *broker;
	const struct peers *peers;
	struct event *asked;
};

/* An eventfd, for the handler. */
static int wake = -1;

/* backtrace() and backtrace_symbols_fd() use no heap once libgcc is loaded,
 * which dump_new has seen to. */
static void on_signal(int sig)
{
	static const char head[] = "ttylockd: SIGUSR1: the stack:\n";
	void *frames[FRAMES_MAX];
	int saved = errno;
	uint64_t one = 1;

	(void)sig;
	if (write(STDERR_FILENO, head, sizeof(head) - 1) == sizeof(head) - 1)
		backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
	/* Full only when somebody has asked very often: it is readable then. */
	if (write(wake, &one, sizeof(one)) < 0)
		errno = saved;
	errno = saved;
}

/* --- the parts --------------------------------------------------------- */

static void log_counters(const struct dump *d)
{
	const struct broker *b = d->broker;

	log_dump("dump: up %llu s, %u of %u requests, %u of %u terminals (%u dirty with nobody "
		 "there), %u peers",
	    (unsigned long long)(clock_ms() - b->started) / 1000, locktable_requests(b->table),
	    b->requests_max, b->terminals.count, b->terminals_max, b->kept, d->peers->count);
}

static void log_request(const struct broker *b, const struct locktable_view *view)
{
	const struct ticket *k = tickets_by_id(&b->tickets, view->request);
	char place[32] = "holds";

	if (!k)
		return;
	if (!view->holds)
		snprintf(place, sizeof(place), "waits at %u", view->position);
	log_dump("dump: %s: request %llu %s: pid %d (%s), uid %u, task %s/%llu, for pid %d (%s), "
		 "%llu s: %s",
	    k->terminal->proof.path, (unsigned long long)view->request, place,
	    (int)k->caller->cred.pid, k->caller->cred.comm, (unsigned)k->caller->cred.uid,
	    ticket_task_name(k), (unsigned long long)k->task_id, (int)k->subject_pid,
	    ticket_subject_comm(k), (unsigned long long)(clock_ms() - k->asked) / 1000,
	    ticket_text(k));
}

static void log_table(const struct dump *d)
{
	struct locktable_cursor cursor = {0};
	struct locktable_view view;
	unsigned lines = 0;

	while (lines++ < LINES_MAX && locktable_next(d->broker->table, &cursor, &view))
		log_request(d->broker, &view);
	if (locktable_requests(d->broker->table) > LINES_MAX)
		log_dump(
		    "dump: and %u requests more", locktable_requests(d->broker->table) - LINES_MAX);
}

static bool log_peer(const struct caller *c, size_t unsent, void *arg)
{
	unsigned *lines = arg;

	log_dump("dump: peer %llu: pid %d (%s), uid %u, tree %llx, %zu bytes unsent%s%s%s",
	    (unsigned long long)c->id, (int)c->cred.pid, c->cred.comm, (unsigned)c->cred.uid,
	    (unsigned long long)c->tree, unsent, c->greeted ? "" : ", not greeted",
	    c->watching ? ", watches" : "", c->dying ? ", dying" : "");
	return ++*lines < LINES_MAX;
}

static void on_asked(evutil_socket_t fd, short what, void *arg)
{
	struct dump *d = arg;
	unsigned lines = 0;
	uint64_t times;

	(void)what;
	if (read(fd, &times, sizeof(times)) < 0)
		return;
	log_counters(d);
	log_table(d);
	peers_each(d->peers, log_peer, &lines);
	if (d->peers->count > lines)
		log_dump("dump: and %u peers more", d->peers->count - lines);
	log_dump("dump: end");
}

/* --- making ------------------------------------------------------------ */

struct dump *dump_new(
    struct event_base *base, const struct broker *broker, const struct peers *peers)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct dump *d = calloc(1, sizeof(*d));
	void *frame;

	/* Whoever asks must not end us where we cannot answer. */
	signal(SIGUSR1, SIG_IGN);
	wake = d ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	if (wake < 0) {
		free(d);
		return NULL;
	}
	d->broker = broker;
	d->peers = peers;
	d->asked = event_new(base, wake, EV_READ | EV_PERSIST, on_asked, d);
	if (!d->asked || event_add(d->asked, NULL) < 0) {
		dump_free(d);
		return NULL;
	}
	backtrace(&frame, 1);
	sigaction(SIGUSR1, &sa, NULL);
	return d;
}

void dump_free(struct dump *d)
{
	if (!d)
		return;
	signal(SIGUSR1, SIG_IGN);
	if (d->asked)
		event_free(d->asked);
	close(wake);
	wake = -1;
	free(d);
}
