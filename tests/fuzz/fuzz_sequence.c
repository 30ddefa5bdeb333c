/* links: tests/fuzz/world.o tests/fuzz/oracle.o tests/fuzz/message.o tests/model/reference.o */
/* links: tests/fuzz/daemon.a proto/frame.o proto/ttylock.pb.o -lsystemd */
/* links: -Wl,--wrap=recvmsg,--wrap=send,--wrap=close,--wrap=fstat,--wrap=clock_gettime */
/* links: -Wl,--wrap=getrandom,--wrap=request_handle,--wrap=broker_caller_gone */
/* links: -Wl,--wrap=frame_encode,--wrap=open,--wrap=broker_end */
/* Whole sequences against the daemon's core, from the bytes on a socket to the
 * bytes on another: connect, ask, send in pieces, end, die with the socket left to a
 * child, hang up, force, restart, in a world that is made up (world.h), judged by what
 * the protocol says is due (oracle.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "oracle.h"
#include "world.h"

#include "../../daemon/absent.h"
#include "../../daemon/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __real_request_handle(struct broker *b, struct caller *c, const ttylock_Envelope *e);
int __wrap_request_handle(struct broker *b, struct caller *c, const ttylock_Envelope *e);
void __real_broker_end(
    struct broker *b, struct ticket *k, enum broker_cause cause, const struct caller *by);
void __wrap_broker_end(
    struct broker *b, struct ticket *k, enum broker_cause cause, const struct caller *by);
void __real_broker_caller_gone(struct broker *b, struct caller *c);
void __wrap_broker_caller_gone(struct broker *b, struct caller *c);
ssize_t __real_frame_encode(const ttylock_Envelope *e, uint8_t *buf, size_t size);
ssize_t __wrap_frame_encode(const ttylock_Envelope *e, uint8_t *buf, size_t size);

enum { REQUESTS_MAX = 48, SENT_MAX = 128, SAID_MAX = 32768 };

/* The other end of a connection. */
static struct client {
	bool tainted; /* has sent what it may not */
	bool greets;
	uint64_t next_number;
	/* The rest of a frame that is yet to be written. */
	uint8_t rest[FRAME_MAX];
	size_t rest_size;
	/* Frames on their way to the daemon. */
	struct {
		pb_size_t kind;
		int fd;
	} sent[SENT_MAX];
	int sent_begin, sent_end;
	/* What the daemon has put into its outbox, and what has come of it. */
	uint8_t said[SAID_MAX];
	size_t said_begin, said_end;
	bool said_too_much;
} clients[WORLD_CONNS];

static struct {
	struct broker broker;
	struct peers peers;
	struct usages usages;
	struct absents *absents;
	struct ledger *ledger; /* of all its lives; NULL: it has none */
	int first_conn;	       /* of this life of the daemon's */
	int first_id;	       /* the caller's number of that one */
	int spoken_to;	       /* -1: whoever is told of an event */
	bool ending;
	bool dropping; /* somebody's requests, one by one */
} daemon_;

static int conn_of(const struct caller *c)
{
	return daemon_.first_conn + (int)c->id - daemon_.first_id;
}

/* --- the seams ------------------------------------------------------------------- */

static void said(struct caller *c, const ttylock_Envelope *e, enum outlet_urgency urgency)
{
	bool gone = c->gone;

	oracle_said(c, e);
	daemon_.spoken_to = conn_of(c);
	peer_ops.send(c, e, urgency);
	daemon_.spoken_to = -1;
	/* One that waits behind those turns out to be gone between two of them. */
	if (!gone && c->gone && daemon_.dropping)
		oracle_lose_track();
}
static const struct outlet_ops ops = {.send = said};

/* From the daemon alone: a client encodes with the real one. */
ssize_t __wrap_frame_encode(const ttylock_Envelope *e, uint8_t *buf, size_t size)
{
	int conn = daemon_.spoken_to >= 0 ? daemon_.spoken_to : world.told;
	ssize_t n = __real_frame_encode(e, buf, size);

	world_check(n > 0 && conn >= 0);
	struct client *k = &clients[conn];
	if (k->said_end + (size_t)n > SAID_MAX)
		k->said_too_much = true;
	if (!k->said_too_much) {
		memcpy(k->said + k->said_end, buf, (size_t)n);
		k->said_end += (size_t)n;
	}
	return n;
}

/* In order and nothing else. */
static void sent(int conn, const uint8_t *data, size_t size)
{
	struct client *k = &clients[conn];

	if (k->said_too_much)
		return;
	world_check(size <= k->said_end - k->said_begin);
	world_check(memcmp(k->said + k->said_begin, data, size) == 0);
	k->said_begin += size;
}

int __wrap_request_handle(struct broker *b, struct caller *c, const ttylock_Envelope *e)
{
	struct client *k = &clients[conn_of(c)];
	int terminal = c->proof_pending && !c->proof_error ? c->proof->handle % 1000 : -1;

	if (!k->tainted) {
		world_check(k->sent_begin < k->sent_end);
		world_check(k->sent[k->sent_begin].kind == e->which_body);
		int fd = k->sent[k->sent_begin++].fd;
		if (fd >= 0)
			world_check(c->proof_pending && (terminal < 0 || fd == WORLD_FD(terminal)));
	}
	/* The reference tells a process's tasks by numbers from 0 to 3. */
	if (e->which_body == ttylock_Envelope_lock_request_tag &&
	    (e->body.lock_request.task.id > 3 || e->body.lock_request.task.name[0])) {
		k->tainted = true;
		return -EPROTO;
	}
	int due = oracle_request(c, e, terminal);
	int rc = __real_request_handle(b, c, e);
	world_check((rc < 0) == (due < 0) || oracle_is_blind());
	oracle_settled();
	return rc;
}

/* Nobody is thrown out who has done nothing. */
static bool may_be_gone(const struct caller *c)
{
	const struct world_conn *w = &world.conns[conn_of(c)];

	return w->hung_up || w->was_stuffed || clients[conn_of(c)].tainted ||
	       world.processes[w->process].dead || oracle_may_close(c) ||
	       (!c->greeted && world.now_ms > 1000000) || oracle_is_blind();
}

void __wrap_broker_caller_gone(struct broker *b, struct caller *c)
{
	if (daemon_.ending) {
		__real_broker_caller_gone(b, c);
		return;
	}
	/* One that is absent ends when it is dead, or has nothing any more. */
	world_check(c->absent || may_be_gone(c));
	c->gone = true;
	oracle_gone(c);
	daemon_.dropping = true;
	__real_broker_caller_gone(b, c);
	daemon_.dropping = false;
	oracle_settled();
}

void __wrap_broker_end(
    struct broker *b, struct ticket *k, enum broker_cause cause, const struct caller *by)
{
	if (cause == BROKER_ABSENT)
		oracle_overdue(k->id);
	__real_broker_end(b, k, cause, by);
	if (cause == BROKER_ABSENT)
		oracle_settled();
}

/* --- the daemon --------------------------------------------------------------------- */

static void freed(void *arg)
{
	(void)arg;
}

static void daemon_begin(void)
{
	struct broker *b = &daemon_.broker;

	daemon_.spoken_to = -1;
	world_check(broker_init(b, &ops, daemon_.ledger, REQUESTS_MAX, 4096) == 0);
	peers_init(&daemon_.peers, NULL, b, &daemon_.usages, freed, NULL);
	daemon_.absents = absents_new(NULL, b, &daemon_.usages, 10);
	world_check(daemon_.absents);
	daemon_.peers.last_id = absents_last_caller(daemon_.absents);
	daemon_.first_conn = world.conn_count;
	daemon_.first_id = (int)daemon_.peers.last_id + 1;
	daemon_.ending = false;
}

/* At once, with nothing put in order; only its memory is given back. */
static void daemon_end(void)
{
	daemon_.ending = true;
	broker_freeze(&daemon_.broker);
	absents_free(daemon_.absents);
	peers_deinit(&daemon_.peers);
	world_check(daemon_.peers.count == 0 && locktable_requests(daemon_.broker.table) == 0);
	broker_deinit(&daemon_.broker);
	world_check(daemon_.usages.first == NULL);
	world_check(world.handles == 0 && world.pidfds == 0);
	for (int i = daemon_.first_conn; i < world.conn_count; i++)
		world_check(!world.conns[i].open);
}

/* Everybody reads again. */
static void unstuff(void)
{
	for (int i = daemon_.first_conn; i < world.conn_count; i++)
		world.conns[i].stuffed = false;
}

static void settle(void)
{
	/* A loop that has always something to do is stuck as well. */
	for (int i = 0; unstuff(), world_dispatch(0); i++)
		world_check(i < 100000);
	for (int i = daemon_.first_conn; i < world.conn_count; i++) {
		if (world.conns[i].open && !clients[i].said_too_much)
			world_check(clients[i].said_begin == clients[i].said_end);
	}
	oracle_compare();
}

/* --- what a client does --------------------------------------------------------------- */

static int some_conn(struct bytes *b)
{
	int n = world.conn_count - daemon_.first_conn;

	return n ? world.conn_count - 1 - bytes_take(b) % (n < 8 ? n : 8) : -1;
}

/* Writes what was kept back, then this, keeping back some of it. */
static void write_bytes(int conn, const uint8_t *data, size_t size, int fd, size_t keep)
{
	struct client *k = &clients[conn];

	if (!world.conns[conn].open || world.conns[conn].hung_up)
		return;
	if (k->rest_size > 0 && !world_write(conn, k->rest, k->rest_size, -1))
		k->tainted = true;
	k->rest_size = 0;
	if (size == 0)
		return;
	keep = keep < size ? keep : size - 1;
	if (!world_write(conn, data, size - keep, fd)) {
		k->tainted = true;
		return;
	}
	memcpy(k->rest, data + size - keep, keep);
	k->rest_size = keep;
}

static void send_message(int conn, const ttylock_Envelope *e, int fd, uint8_t how)
{
	struct client *k = &clients[conn];
	uint8_t frame[FRAME_MAX];
	ssize_t n = __real_frame_encode(e, frame, sizeof(frame));

	if (n <= 0)
		return;
	if (k->sent_end == SENT_MAX ||
	    (fd >= 0) != (e->which_body == ttylock_Envelope_terminal_open_tag))
		k->tainted = true;
	else {
		k->sent[k->sent_end].kind = e->which_body;
		k->sent[k->sent_end++].fd = fd;
	}
	write_bytes(conn, frame, (size_t)n, fd, how & 0x80 ? how & 0x7f : 0);
}

static void say_open(int conn, uint8_t how, uint8_t cut)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_terminal_open_tag};
	int fd = how % 32 == 31	  ? WORLD_FD_FILE
		 : how % 32 == 30 ? WORLD_FD_WRONG
				  : WORLD_FD((how & 3) % 3 + (world.terminal_count - 3));

	e.body.terminal_open.terminal = how >> 2 & 7;
	send_message(conn, &e, fd, cut);
}

static void do_connect(struct bytes *b)
{
	uint8_t how = bytes_take(b);
	int process = how % WORLD_PROCESSES, sock;
	ttylock_Envelope e = {.which_body = ttylock_Envelope_hello_tag};
	struct cred cred;

	if (world.conn_count == WORLD_CONNS || world.processes[process].dead)
		return;
	int conn = world_connect(process, &sock, &cred);
	struct client *k = &clients[conn];
	k->tainted = k->said_too_much = false;
	k->next_number = 1;
	k->rest_size = k->said_begin = k->said_end = 0;
	k->sent_begin = k->sent_end = 0;
	struct usage *usage = usages_get(&daemon_.usages, cred.uid);
	world_check(peers_add(&daemon_.peers, sock, &cred, usage) == 0);
	usage_unref(usage);
	if (how & 0x40)
		return;
	e.body.hello.version = 1;
	e.body.hello.tree = how >> 3 & 3;
	send_message(conn, &e, -1, 0);
	if (!(how & 0x20))
		say_open(conn, how >> 7, 0);
}

static int conn_of_owner(uint64_t owner)
{
	int conn = daemon_.first_conn + (int)owner - daemon_.first_id;

	return owner && conn >= daemon_.first_conn && conn < world.conn_count ? conn : -1;
}

static void do_lock(struct bytes *b, int conn)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_request_tag};
	ttylock_LockRequest *r = &e.body.lock_request;
	uint8_t how = bytes_take(b), more = bytes_take(b);
	struct oracle_choice choice;

	r->request = clients[conn].next_number++;
	r->terminal = (how & 7) < 5 ? 0 : how & 3;
	r->has_task = true;
	r->task.id = how >> 3 & 3;
	r->reason = ttylock_Reason_REASON_COMMAND;
	r->nonblock = (how & 0xe0) == 0xe0;
	if ((more & 0x70) == 0x70 && oracle_pick(more & 0xf, &choice) && choice.token) {
		r->reclaim.size = 16;
		memcpy(r->reclaim.bytes, choice.token, 16);
	} else if (more & 0x40 && oracle_pick(more & 0x3f, &choice) && choice.token) {
		r->under.size = 16;
		memcpy(r->under.bytes, choice.token, 16);
	} else if (more & 0x20) {
		r->subject_pid = 100 + more % 12;
	}
	send_message(conn, &e, -1, more & 0x80 ? bytes_take(b) : 0);
}

/* One's own by its number, or anybody's by the daemon's. */
static void do_end(struct bytes *b, int conn)
{
	ttylock_Envelope e = {0};
	uint8_t how = bytes_take(b), which = bytes_take(b);
	struct oracle_choice choice = {.id = which, .number = which};

	oracle_pick(which, &choice);
	if (how & 0x10 && choice.owner &&
	    daemon_.first_conn + (int)choice.owner <= world.conn_count)
		conn = daemon_.first_conn + (int)choice.owner - 1;
	switch (how % 6) {
	case 0:
	case 1:
		e.which_body = ttylock_Envelope_lock_release_tag;
		e.body.lock_release.request = choice.number;
		break;
	case 2:
		e.which_body = ttylock_Envelope_lock_cancel_tag;
		e.body.lock_cancel.request = choice.number;
		break;
	case 3:
		e.which_body = ttylock_Envelope_lock_cancel_tag;
		e.body.lock_cancel.id = choice.id;
		break;
	case 4:
		e.which_body = ttylock_Envelope_force_release_tag;
		e.body.force_release.id = choice.id;
		break;
	default:
		e.which_body = ttylock_Envelope_serve_first_tag;
		e.body.serve_first.id = choice.id;
		break;
	}
	send_message(conn, &e, -1, how & 0x80 ? bytes_take(b) : 0);
}

static void do_ask(struct bytes *b, int conn)
{
	ttylock_Envelope e = {0};
	uint8_t how = bytes_take(b);
	struct oracle_choice choice = {.number = how};

	switch (how % 4) {
	case 0:
		e.which_body = ttylock_Envelope_status_query_tag;
		e.body.status_query.query = how;
		e.body.status_query.below = how & 0x40 ? 100 + (how >> 2) % 8 : 0;
		break;
	case 1:
		e.which_body = ttylock_Envelope_wait_idle_tag;
		e.body.wait_idle.query = how;
		e.body.wait_idle.below = how & 0x40 ? 100 + (how >> 2) % 8 : 0;
		break;
	case 2:
		e.which_body = ttylock_Envelope_watch_tag;
		break;
	default:
		e.which_body = ttylock_Envelope_terminal_state_tag;
		oracle_pick(how >> 2, &choice);
		if (conn_of_owner(choice.owner) >= 0)
			conn = conn_of_owner(choice.owner);
		e.body.terminal_state.request = choice.number;
		e.body.terminal_state.saved.size = how >> 2;
		memset(e.body.terminal_state.saved.bytes, how, how >> 2);
		break;
	}
	send_message(conn, &e, -1, 0);
}

static void do_any(struct bytes *b, int conn)
{
	ttylock_Envelope e;
	uint8_t garbage[64];
	uint8_t how = bytes_take(b);

	if (how & 0x80) {
		size_t n = how & 0x3f;

		for (size_t i = 0; i < n; i++)
			garbage[i] = bytes_take(b);
		clients[conn].tainted = true;
		write_bytes(conn, garbage, n, how & 0x40 ? WORLD_FD(0) : -1, 0);
		return;
	}
	message_fill(b, &e);
	/* The reference tells tasks by their numbers' last bits. */
	if (e.which_body == ttylock_Envelope_lock_request_tag) {
		e.body.lock_request.task.id %= 4;
		memset(e.body.lock_request.task.name, 0, sizeof(e.body.lock_request.task.name));
	}
	send_message(conn, &e, how & 0x40 ? WORLD_FD(how % 3) : -1, how & 0x20 ? bytes_take(b) : 0);
}

/* --- what becomes of it ------------------------------------------------------------------ */

static void daemon_restart(void)
{
	settle();
	daemon_end();
	daemon_begin();
	if (daemon_.ledger)
		oracle_restarted();
	else
		oracle_reset(&daemon_.broker, REQUESTS_MAX);
}

static void do_fate(struct bytes *b, int conn)
{
	uint8_t how = bytes_take(b);

	switch (how % 8) {
	case 0:
	case 1:
		if (conn >= 0)
			world.conns[conn].hung_up = true;
		break;
	case 2:
	case 3: /* and the socket stays open: a child has it */
		if (conn >= 0)
			world.processes[world.conns[conn].process].dead = true;
		break;
	case 4:
		/* With a ledger but no manager that keeps a handle, a terminal that takes
		 * a dead one's place is taken for it. */
		if (world.terminal_count + 3 <= WORLD_TERMINALS && how & 0x80 && !daemon_.ledger) {
			for (int t = 0; t < 3; t++)
				world.terminals[world.terminal_count - 3 + t].dead = true;
			world.terminal_count += 3;
			world.now_ms++; /* a look at a terminal serves for a millisecond */
		}
		break;
	case 5:
		if (conn >= 0) {
			world.conns[conn].was_stuffed = true;
			world.conns[conn].stuffed = how & 0x80;
			world.conns[conn].window = how >> 4;
		}
		break;
	case 6:
		world.now_ms += 1000u << (how >> 5);
		break;
	default:
		if (how & 0xc0) {
			world.now_ms += 10;
			break;
		}
		daemon_restart();
		break;
	}
}

static void do_one(struct bytes *b)
{
	uint8_t what = bytes_take(b) % 16;
	int conn;

	if (what < 3 || (conn = some_conn(b)) < 0) {
		do_connect(b);
		return;
	}
	if (what < 8)
		do_lock(b, conn);
	else if (what < 11)
		do_end(b, conn);
	else if (what == 11)
		do_ask(b, conn);
	else if (what == 12)
		do_any(b, conn);
	else if (what == 13)
		say_open(conn, bytes_take(b), 0x80 | (bytes_take(b) & 3));
	else if (what == 14)
		do_fate(b, conn);
	else
		world_dispatch(bytes_take(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = {.data = data, .size = size};
	uint8_t mode = bytes_take(&b);

	world_reset();
	world.sent = sent;
	daemon_.ledger = mode & 4 ? ledger_new(REQUESTS_MAX, 4096) : NULL;
	oracle_reset(&daemon_.broker, REQUESTS_MAX);
	daemon_begin();
	while (b.at < b.size) {
		do_one(&b);
		if (!(mode & 1) || (mode & 2 && b.at % 8 == 0))
			settle();
	}
	for (int i = daemon_.first_conn; i < world.conn_count; i++) {
		write_bytes(i, NULL, 0, -1, 0);
		while (unstuff(), world_dispatch(0))
			;
		world.conns[i].hung_up = true;
	}
	settle();
	world_check(daemon_.peers.count == 0);
	daemon_end();
	ledger_free(daemon_.ledger);
	return 0;
}
