/* Locks against the floor, in one process with its partner: how long an acquire, a cycle,
 * a refusal, a hand-over and a status take with so many waiters, each in the same round
 * as its reference. Prints lines `ROW N ROUND NS REFERENCE_NS`.
 *
 *	locks [-r ROUNDS] [-b BATCH] [-R REDIS_SOCKET] [-E ETCD_PORT] N:TTYLOCKD_SOCKET...
 *	locks -c COUNT N:TTYLOCKD_SOCKET
 *
 * -c: says `ready PID` (the daemon's), waits for a line, and goes round COUNT times, for
 * whoever counts system calls. Each daemon is one that nobody else uses.
 */
#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <ttylock.h>
#include <unistd.h>

#include "bench.h"
#include "floor.h"
#include "pair.h"
#include "rivals.h"
#include "wire.h"

#define SCENES_MAX 8
#define ETCD_BATCH 3
/* What an entry of a status has on the wire, about. */
#define ENTRY_BYTES 96

/* One daemon, with its terminal that n wait for and one that is free. */
struct scene {
	unsigned n;
	const char *socket;
	struct ttylock *held, *free;
	uint64_t hold;
	struct wire steer;
	struct wire *waiters;
	unsigned n_waiters;
	pid_t daemon;
	uint64_t *newest; /* the daemon's number of the newest request for `held`; shared */
};

enum baton_number { BATON_FLOCK, BATON_MUTEX, BATON_SCENES };

static struct bench {
	unsigned rounds, batch;
	const char *redis_socket;
	int etcd_port;
	unsigned connections; /* to one daemon, at most: it has two descriptors for each */
	int busy_tty, free_tty;
	struct scene scenes[SCENES_MAX];
	unsigned n_scenes;
	struct floor floor;
	struct pair pair;
	struct redis redis;
	struct etcd etcd;
	char file[256];
	pthread_mutex_t *mutex;
} bench = {.rounds = 5, .batch = 20};

/* --- our lock ----------------------------------------------------------------- */

static const struct ttylock_wish wish_plain = {.task_name = "bench", .task_id = 1, .text = "bench"};

static void must(int r, const char *what)
{
	if (r < 0)
		die(what, -r);
}

static struct ttylock *handle_open(const struct scene *s, int tty)
{
	struct ttylock *t;

	setenv("TTYLOCK_SOCKET", s->socket, 1);
	must(ttylock_open(&t, tty, 0), s->socket);
	return t;
}

static void scene_take(void *arg)
{
	struct scene *s = arg;

	must(ttylock_acquire(s->held, &wish_plain, -1, &s->hold), "acquire");
}

static void scene_give(void *arg)
{
	struct scene *s = arg;

	must(ttylock_release(s->held, s->hold), "release");
}

static void scene_taken(void *arg)
{
	struct scene *s = arg;
	struct ttylock_status status;

	must(ttylock_get_status(s->held, s->hold, &status), "status");
	*s->newest = status.id;
}

/* The other one asked last, so its number is known, and it waits behind all others. */
static void scene_prepare(void *arg)
{
	struct scene *s = arg;

	wire_serve_first(&s->steer, *s->newest + 1);
	wire_settle(&s->steer);
}

/* --- the partner's side --------------------------------------------------------- */

static void relay_take(void *arg)
{
	floor_take(&bench.floor, *(int *)arg);
}

static void relay_give(void *arg)
{
	floor_give(&bench.floor, *(int *)arg);
}

static void file_take(void *arg)
{
	flock_take(*(int *)arg);
}

static void file_give(void *arg)
{
	flock_give(*(int *)arg);
}

static void shared_take(void *arg)
{
	mutex_take(arg);
}

static void shared_give(void *arg)
{
	mutex_give(arg);
}

/* What number means to this process. */
static struct baton baton_of(unsigned number)
{
	static int file = -1;

	if (number == BATON_FLOCK) {
		if (file < 0)
			file = flock_open(bench.file);
		return (struct baton){.take = file_take, .give = file_give, .arg = &file};
	}
	if (number == BATON_MUTEX)
		return (struct baton){.take = shared_take, .give = shared_give, .arg = bench.mutex};
	struct scene *s = &bench.scenes[number - BATON_SCENES];
	if (!s->held) {
		s->held = handle_open(s, bench.busy_tty);
		wire_open(&s->steer, s->socket, bench.free_tty);
	}
	return (struct baton){.take = scene_take,
	    .give = scene_give,
	    .taken = scene_taken,
	    .prepare = scene_prepare,
	    .arg = s};
}

static double relay(unsigned times, int has_it)
{
	int end = has_it ? 0 : 1;
	struct baton b = {.take = relay_take, .give = relay_give, .arg = &end};

	return pair_pass(&bench.pair, &b, times, has_it);
}

__attribute__((noreturn)) static void partner(void)
{
	for (;;) {
		uint32_t number = pair_await(&bench.pair), times = pair_await(&bench.pair);

		struct baton b = baton_of(number);

		pair_pass(&bench.pair, &b, times, 0);
		relay(times, 0);
	}
}

/* Where the daemon's numbers are. */
static void scene_number(struct scene *s)
{
	struct ttylock_status status;
	uint64_t id;

	must(ttylock_acquire(s->free, &wish_plain, -1, &id), "acquire");
	must(ttylock_get_status(s->free, id, &status), "status");
	*s->newest = status.id;
	must(ttylock_release(s->free, id), "release");
}

static void row_hand_over(const char *row, unsigned n, unsigned round, unsigned number)
{
	uint32_t times = bench.batch / 4 * 2 + 2;

	struct baton b = baton_of(number);

	/* Of a scene it is held always. */
	if (number < BATON_SCENES)
		b.take(b.arg);
	else
		scene_number(&bench.scenes[number - BATON_SCENES]);
	pair_command(&bench.pair, number);
	pair_command(&bench.pair, times);
	double ns = pair_pass(&bench.pair, &b, times, 1);
	if (number < BATON_SCENES)
		b.give(b.arg);
	sample(row, n, round, ns, relay(times, 1));
}

/* --- alone ---------------------------------------------------------------------- */

static struct series series;

static double round_trip(bool looped)
{
	for (unsigned i = 0; i < bench.batch; i++) {
		double began = now_ns();
		floor_round_trip(&bench.floor, looped);
		series_add(&series, now_ns() - began);
	}
	return series_median(&series);
}

static double acquire(struct scene *s)
{
	uint64_t id;

	for (unsigned i = 0; i < bench.batch; i++) {
		double began = now_ns();
		must(ttylock_acquire(s->free, &wish_plain, -1, &id), "acquire");
		series_add(&series, now_ns() - began);
		must(ttylock_release(s->free, id), "release");
		wire_settle(&s->steer);
	}
	return series_median(&series);
}

static double cycle(struct scene *s, unsigned times)
{
	uint64_t id;

	for (unsigned i = 0; i < times; i++) {
		double began = now_ns();
		must(ttylock_acquire(s->free, &wish_plain, -1, &id), "acquire");
		must(ttylock_release(s->free, id), "release");
		series_add(&series, now_ns() - began);
	}
	return series_median(&series);
}

static double try_held(struct scene *s)
{
	static const struct ttylock_wish wish = {
	    .task_name = "try", .task_id = 2, .text = "bench", .nonblock = true};
	uint64_t id;

	for (unsigned i = 0; i < bench.batch; i++) {
		double began = now_ns();
		if (ttylock_acquire(s->held, &wish, -1, &id) != -EBUSY)
			die("a held lock was not busy", 0);
		series_add(&series, now_ns() - began);
	}
	return series_median(&series);
}

static int count(const struct ttylock_entry *entry, void *arg)
{
	(void)entry;
	++*(unsigned *)arg;
	return 0;
}

static void row_status(struct scene *s, unsigned round)
{
	static struct series bare;
	unsigned times = s->n >= 1000 ? 1 : 5, entries;

	for (unsigned i = 0; i < times; i++) {
		double began = now_ns();
		entries = 0;
		must(ttylock_list(s->held, -1, count, &entries), "list");
		series_add(&series, now_ns() - began);
		began = now_ns();
		floor_stream(&bench.floor, entries * ENTRY_BYTES);
		series_add(&bare, now_ns() - began);
	}
	sample("status", s->n, round, series_median(&series), series_median(&bare));
}

static void rows_of_scene(unsigned i, unsigned round)
{
	struct scene *s = &bench.scenes[i];

	double reference = round_trip(false);
	sample("acquire", s->n, round, acquire(s), reference);
	reference = round_trip(false);
	sample("cycle", s->n, round, cycle(s, bench.batch), reference);
	wire_settle(&s->steer);
	reference = round_trip(false);
	sample("try", s->n, round, try_held(s), reference);
	row_status(s, round);
	row_hand_over("hand-over", s->n, round, BATON_SCENES + i);
}

/* --- the others ----------------------------------------------------------------- */

static void row_redis(unsigned round)
{
	static struct series taking;
	double reference = round_trip(false);

	for (unsigned i = 0; i < bench.batch; i++) {
		double began = now_ns();
		if (!redis_take(&bench.redis))
			die("Redis's lock was not free", 0);
		series_add(&taking, now_ns() - began);
		redis_give(&bench.redis);
		series_add(&series, now_ns() - began);
	}
	sample("redis-acquire", 0, round, series_median(&taking), reference);
	sample("redis-cycle", 0, round, series_median(&series), reference);
	redis_take(&bench.redis);
	for (unsigned i = 0; i < bench.batch; i++) {
		double began = now_ns();
		if (redis_take(&bench.redis))
			die("Redis's lock was not busy", 0);
		series_add(&series, now_ns() - began);
	}
	sample("redis-try", 0, round, series_median(&series), reference);
	redis_give(&bench.redis);
}

static void row_etcd(unsigned round)
{
	double reference = round_trip(false);

	for (unsigned i = 0; i < ETCD_BATCH; i++) {
		double began = now_ns();
		etcd_take(&bench.etcd);
		etcd_give(&bench.etcd);
		series_add(&series, now_ns() - began);
	}
	sample("etcd-cycle", 0, round, series_median(&series), reference);
}

static void row_flock(unsigned round)
{
	static int file = -1;
	double reference = round_trip(false);

	if (file < 0)
		file = flock_open(bench.file);
	for (unsigned i = 0; i < bench.batch; i++) {
		double began = now_ns();
		flock_take(file);
		flock_give(file);
		series_add(&series, now_ns() - began);
	}
	sample("flock-cycle", 0, round, series_median(&series), reference);
}

static void rows_of_rivals(unsigned round)
{
	double reference = round_trip(false);

	sample("looped-round-trip", 0, round, round_trip(true), reference);
	for (unsigned i = 0; i < bench.batch; i++) {
		double began = now_ns();
		mutex_take(bench.mutex);
		mutex_give(bench.mutex);
		series_add(&series, now_ns() - began);
	}
	sample("mutex-cycle", 0, round, series_median(&series), reference);
	row_flock(round);
	row_hand_over("flock-hand-over", 0, round, BATON_FLOCK);
	row_hand_over("mutex-hand-over", 0, round, BATON_MUTEX);
	if (bench.redis_socket)
		row_redis(round);
	if (bench.etcd_port)
		row_etcd(round);
}

/* --- making ----------------------------------------------------------------------- */

/* Kilobytes that it has touched, its ledger's among them. */
static long memory_of(pid_t pid)
{
	char path[32], line[256];
	long kb = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static void scene_open(struct scene *s)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	s->held = handle_open(s, bench.busy_tty);
	s->free = handle_open(s, bench.free_tty);
	wire_open(&s->steer, s->socket, bench.free_tty);
	getsockopt(s->steer.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	s->daemon = cred.pid;
	scene_take(s);
	s->n_waiters = s->n < bench.connections ? s->n : bench.connections;
	s->waiters = calloc(s->n_waiters, sizeof(*s->waiters));
	long before = memory_of(s->daemon);
	for (unsigned i = 0; i < s->n_waiters; i++)
		wire_open(&s->waiters[i], s->socket, bench.busy_tty);
	for (unsigned i = 0; i < s->n; i++)
		if (wire_request(&s->waiters[i % s->n_waiters], 1 + i / s->n_waiters))
			die("a waiter was granted a held terminal", 0);
	/* Of few, pages would be counted. */
	if (s->n >= 100 && s->n == s->n_waiters)
		sample("memory", s->n, 0, (double)(memory_of(s->daemon) - before) * 1024 / s->n, 1);
}

static void scenes_close(void)
{
	for (struct scene *s = bench.scenes; s < bench.scenes + bench.n_scenes; s++) {
		ttylock_close(s->held);
		ttylock_close(s->free);
		wire_close(&s->steer);
		for (unsigned i = 0; i < s->n_waiters; i++)
			wire_close(&s->waiters[i]);
		free(s->waiters);
	}
}

static int pty_slave(void)
{
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		die("openpty", errno);
	fcntl(master, F_SETFD, FD_CLOEXEC);
	fcntl(slave, F_SETFD, FD_CLOEXEC);
	return slave;
}

/* The sizes of a request and of what it is answered. */
static void floor_like(struct scene *s)
{
	ttylock_Envelope e = {.which_body = ttylock_Envelope_lock_request_tag};
	uint8_t frame[FRAME_MAX];
	struct wire w;

	e.body.lock_request.request = 1;
	e.body.lock_request.has_task = true;
	strcpy(e.body.lock_request.task.name, "bench");
	e.body.lock_request.task.id = 1;
	e.body.lock_request.reason = ttylock_Reason_REASON_COMMAND;
	strcpy(e.body.lock_request.text, "bench");
	ssize_t asked = frame_encode(&e, frame, sizeof(frame));
	wire_open(&w, s->socket, bench.free_tty);
	if (!wire_request(&w, 1))
		die("somebody else uses the daemon", 0);
	/* First, or its children would keep it open. */
	wire_close(&w);
	floor_start(&bench.floor, (size_t)asked, w.last);
}

static int count_calls(unsigned times)
{
	struct scene *s = &bench.scenes[0];

	scene_open(s);
	cycle(s, 100);
	wire_settle(&s->steer);
	printf("ready %d\n", (int)s->daemon);
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	cycle(s, times);
	puts("done");
	fflush(stdout);
	getchar();
	scenes_close();
	return 0;
}

static int run(void)
{
	struct bench *b = &bench;
	const char *directory = getenv("XDG_RUNTIME_DIR") ?: "/tmp";

	/* Before there is anything that a child should not have. */
	floor_like(&b->scenes[0]);
	snprintf(b->file, sizeof(b->file), "%s/ttylock-bench-%d", directory, (int)getpid());
	b->mutex = mutex_new();
	if (pair_fork(&b->pair) == 0)
		partner();
	for (unsigned i = 0; i < b->n_scenes; i++)
		scene_open(&b->scenes[i]);
	if (b->redis_socket)
		redis_open(&b->redis, b->redis_socket);
	if (b->etcd_port)
		etcd_open(&b->etcd, b->etcd_port);
	for (unsigned round = 0; round < b->rounds; round++) {
		rows_of_rivals(round);
		for (unsigned i = 0; i < b->n_scenes; i++)
			rows_of_scene(i, round);
	}
	scenes_close();
	floor_stop(&b->floor);
	unlink(b->file);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench *b = &bench;
	unsigned calls = 0;
	int opt;

	while ((opt = getopt(argc, argv, "r:b:c:R:E:")) != -1) {
		if (opt == 'r')
			b->rounds = (unsigned)atoi(optarg);
		else if (opt == 'b')
			b->batch = (unsigned)atoi(optarg);
		else if (opt == 'c')
			calls = (unsigned)atoi(optarg);
		else if (opt == 'R')
			b->redis_socket = optarg;
		else if (opt == 'E')
			b->etcd_port = atoi(optarg);
		else
			return 64;
	}
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	b->connections = (unsigned)(rl.rlim_max / 4);
	b->busy_tty = pty_slave();
	b->free_tty = pty_slave();
	for (; optind < argc && b->n_scenes < SCENES_MAX; optind++) {
		struct scene *s = &b->scenes[b->n_scenes++];
		const char *colon = strchr(argv[optind], ':');

		if (!colon)
			return 64;
		s->n = (unsigned)atoi(argv[optind]);
		s->socket = colon + 1;
		s->newest = pair_shared(sizeof(*s->newest));
	}
	if (b->n_scenes == 0 || b->batch == 0)
		return 64;
	return calls ? count_calls(calls) : run();
}
