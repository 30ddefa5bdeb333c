#include "server.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absent.h"
#include "broker.h"
#include "clock.h"
#include "dump.h"
#include "frame.h"
#include "log.h"
#include "peer.h"
#include "policy.h"
#include "refusal.h"
#include "sync_point.h"
#include "watchdog.h"

/* Connections taken at a time: those that are in have their turn too. */
#define ACCEPT_MAX 64
/* Descriptors that are neither a peer's (two each) nor a terminal's (one). */
#define DESCRIPTORS_OWN 64
#define DESCRIPTORS_MAX 65536

static const struct timeval accept_pause = {0, 50 * 1000};
static const struct timeval idle_end = {1, 0};
static const struct timeval idle_start = {10, 0};

struct server {
	struct event_base *base;
	struct event *accept, *resume, *idle, *term, *intr;
	struct broker broker;
	struct peers peers;
	struct absents *absents;
	struct usages usages;
	struct dump *dump;
	struct watchdog *watchdog; // NULL: nobody asks
	int listener;
	struct bucket starved; /* of words about that */
	int reserve;	       /* given up to turn somebody away when there is no other */
	bool on_demand;
	uint32_t connections_max;
};

/* --- admission --------------------------------------------------------- */

/* Says why, if the socket takes it at once, and hangs up. */
static void turn_away(int sock, ttylock_Code code, const char *text)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_error_tag};
	uint8_t frame[FRAME_MAX];

	e.body.error.code = code;
	strncpy(e.body.error.text, text, sizeof(e.body.error.text) - 1);
	ssize_t n = frame_encode(&e, frame, sizeof(frame));
	if (n > 0 && send(sock, frame, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("the refusal did not reach it");
	close(sock);
}

/* cred: what is known of it, be it little. */
static void refuse(struct usage *usage, int sock, struct cred *cred, enum log_kind kind,
    const char *note, ttylock_Code code, const char *text)
{
	if (refusal_tell(usage)) {
		if (cred->pidfd < 0)
			cred_comm(cred->pid, cred->comm, sizeof(cred->comm));
		log_event(&(struct log_event){.kind = kind, .who = cred, .note = note});
	}
	turn_away(sock, code, text);
}

static void identity_refuse(struct usage *usage, int sock, struct cred *cred, int error)
{
	if (error == -EMFILE || error == -ENFILE) {
		refuse(usage, sock, cred, LOG_KIND_NO_DESCRIPTORS, "a connection is turned away",
		    ttylock_Code_ERROR_QUOTA, "out of descriptors");
		return;
	}
	if (error == -ESRCH)
		log_debug("a connection's process is gone already");
	else
		log_event(&(struct log_event){
		    .kind = LOG_KIND_UNIDENTIFIED, .who = cred, .note = strerror(-error)});
	turn_away(sock, ttylock_Code_ERROR_DENIED, "you have no identity here");
}

static enum policy_verdict may_connect(const struct server *s, struct usage *usage)
{
	struct policy_case pc = {
	    .uid = usage->uid,
	    .mine = usage->connections,
	    .others = s->peers.count - usage->connections,
	    .total = s->connections_max,
	    .over_rate = !usage_may_talk(usage, clock_ms()),
	};

	return policy_decide(POLICY_CONNECT, &pc);
}

/* Looks no closer than it must: many may come only to be turned away. */
static void admit_user(struct server *s, int sock, struct usage *usage, struct cred *cred)
{
	enum policy_verdict verdict = usage ? may_connect(s, usage) : POLICY_QUOTA;

	if (verdict == POLICY_DENY) {
		refuse(usage, sock, cred, LOG_KIND_REFUSED, "a connection",
		    ttylock_Code_ERROR_DENIED, "not allowed");
		return;
	}
	int rc = verdict == POLICY_ALLOW ? cred_read(sock, cred) : 0;
	if (rc < 0) {
		identity_refuse(usage, sock, cred, rc);
	} else if (verdict == POLICY_QUOTA || peers_add(&s->peers, sock, cred, usage) < 0) {
		refuse(usage, sock, cred, LOG_KIND_QUOTA, "connections", ttylock_Code_ERROR_QUOTA,
		    "too many connections");
	} else {
		log_debug("pid %d (%s), uid %u: connected", (int)cred->pid, cred->comm,
		    (unsigned)cred->uid);
		event_del(s->idle);
	}
}

static void admit(struct server *s, int sock)
{
	struct cred cred;
	int rc = cred_claim(sock, &cred);

	if (rc < 0) {
		identity_refuse(NULL, sock, &cred, rc);
		return;
	}
	struct usage *usage = usages_get(&s->usages, cred.uid);
	admit_user(s, sock, usage, &cred);
	cred_close(&cred);
	usage_unref(usage);
}

/* Out of descriptors: one client is told so with the help of the reserve, and
 * accepting pauses, or the loop would spin on a listener that stays readable. */
static void accept_starved(struct server *s)
{
	static const struct bucket_rate worth_telling = {1, 5};
	int error = errno;

	if (bucket_has(&s->starved, &worth_telling, clock_ms())) {
		bucket_spend(&s->starved, &worth_telling, clock_ms(), 1);
		log_event(
		    &(struct log_event){.kind = LOG_KIND_NO_DESCRIPTORS, .note = strerror(error)});
	}
	if (s->reserve >= 0) {
		close(s->reserve);
		int sock = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (sock >= 0)
			turn_away(sock, ttylock_Code_ERROR_QUOTA, "out of descriptors");
	}
	s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (event_add(s->resume, &accept_pause) == 0)
		event_del(s->accept);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_MAX; i++) {
		int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (sock >= 0) {
			admit(s, sock);
			continue;
		}
		switch (errno) {
		case EINTR:
		case ECONNABORTED:
			continue;
		case EAGAIN:
			return;
		default: /* EMFILE, ENFILE, ENOBUFS, ENOMEM */
			accept_starved(s);
			return;
		}
	}
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	if (s->reserve < 0)
		s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (event_add(s->accept, NULL) == 0)
		event_del(s->resume);
}

/* --- the end ----------------------------------------------------------- */

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)what;
	log_event(&(struct log_event){.kind = LOG_KIND_ENDING, .note = strsignal((int)fd)});
	event_base_loopbreak(s->base);
}

/* Whoever has connected meanwhile is a user: look before leaving. */
static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	on_accept(s->listener, EV_READ, s);
	if (s->peers.count > 0 || absents_any(s->absents))
		return;
	log_event(&(struct log_event){.kind = LOG_KIND_ENDING, .note = "nobody needs it"});
	event_base_loopbreak(s->base);
}

static void peer_freed(void *arg)
{
	struct server *s = arg;

	if (s->on_demand && s->peers.count == 0 && event_add(s->idle, &idle_end) < 0)
		on_idle(-1, 0, s); /* there will be no better moment */
}

/* --- making ------------------------------------------------------------ */

static void status_write(char *out, size_t size, void *arg)
{
	const struct locktable *table = ((const struct server *)arg)->broker.table;
	struct locktable_cursor cursor = {0};
	struct locktable_view view;
	unsigned holds = 0;

	while (locktable_next(table, &cursor, &view))
		holds += view.holds;
	snprintf(
	    out, size, "%u hold a terminal, %u wait", holds, locktable_requests(table) - holds);
}

/* As many descriptors as we may have, and what follows from that. */
static void limits_set(struct server *s, uint32_t *terminals)
{
	struct rlimit rl;
	rlim_t want;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		rl = (struct rlimit){1024, 1024};
	want = rl.rlim_max < DESCRIPTORS_MAX ? DESCRIPTORS_MAX : rl.rlim_max;
	/* Only root may raise the hard limit; anybody may go up to it. */
	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){want, want}) < 0) {
		want = rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){want, want}) < 0)
			want = rl.rlim_cur;
	}
	if (want > DESCRIPTORS_MAX)
		want = DESCRIPTORS_MAX;
	*terminals =
	    (uint32_t)want / 8 < POLICY_TERMINALS_MAX ? (uint32_t)want / 8 : POLICY_TERMINALS_MAX;
	uint32_t left = (uint32_t)want - *terminals;
	s->connections_max = left > DESCRIPTORS_OWN ? (left - DESCRIPTORS_OWN) / 2 : 1;
}

static bool events_new(struct server *s)
{
	s->base = event_base_new();
	if (!s->base)
		return false;
	s->accept = event_new(s->base, s->listener, EV_READ | EV_PERSIST, on_accept, s);
	/* They go on until they have had their way. */
	s->resume = event_new(s->base, -1, EV_PERSIST, on_resume, s);
	s->idle = event_new(s->base, -1, EV_PERSIST, on_idle, s);
	s->term = evsignal_new(s->base, SIGTERM, on_signal, s);
	s->intr = evsignal_new(s->base, SIGINT, on_signal, s);
	return s->accept && s->resume && s->idle && s->term && s->intr &&
	       event_add(s->accept, NULL) == 0 && event_add(s->term, NULL) == 0 &&
	       event_add(s->intr, NULL) == 0 &&
	       (!s->on_demand || event_add(s->idle, &idle_start) == 0);
}

static void events_free(struct server *s)
{
	struct event *all[] = {s->accept, s->resume, s->idle, s->term, s->intr};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i])
			event_free(all[i]);
	}
	if (s->base)
		event_base_free(s->base);
}

struct server *server_new(const struct server_options *o)
{
	uint32_t terminals;
	struct server *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;

	s->listener = o->listener;
	s->on_demand = o->on_demand;
	limits_set(s, &terminals);
	s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (!events_new(s) ||
	    broker_init(&s->broker, &peer_ops, o->ledger, POLICY_REQUESTS_MAX, terminals) < 0) {
		events_free(s);
		if (s->reserve >= 0)
			close(s->reserve);
		free(s);
		errno = ENOMEM;
		return NULL;
	}
	peers_init(&s->peers, s->base, &s->broker, &s->usages, peer_freed, s);
	s->absents = absents_new(s->base, &s->broker, &s->usages, o->grace);
	if (!s->absents) {
		server_free(s);
		errno = ENOMEM;
		return NULL;
	}
	s->peers.last_id = absents_last_caller(s->absents);
	s->dump = dump_new(s->base, &s->broker, &s->peers);
	if (!s->dump)
		log_warnx("SIGUSR1 will show nothing: out of memory or descriptors");
	int rc = watchdog_new(s->base, status_write, s, &s->watchdog);
	if (rc < 0) {
		errno = -rc;
		log_warn("the service manager's watchdog is not fed");
	}
	return s;
}

int server_run(struct server *s)
{
	SYNC_POINT("server.ready");
	return event_base_dispatch(s->base) < 0 ? -EIO : 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	watchdog_free(s->watchdog);
	broker_freeze(&s->broker);
	dump_free(s->dump);
	absents_free(s->absents);
	peers_deinit(&s->peers);
	broker_deinit(&s->broker);
	events_free(s);
	if (s->reserve >= 0)
		close(s->reserve);
	free(s);
}
