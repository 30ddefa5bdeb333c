/* A storm: processes that take turns in every way and end in every way, and a
 * daemon that is killed among them, again and again.
 *
 *     storm [SECONDS [KILLS [SEED]]]
 *
 * Ends after that many seconds, or that many kills (0: no matter), of processes and
 * daemons together. Now and then all becomes quiet, and everybody who waits has to
 * be served. What is wrong ends it, with the seed and what happened last. At the end what
 * the daemons logged is followed by the model's rules, over all their deaths.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <termios.h>
#include <ttylock.h>
#include <unistd.h>

#include "anchor.h"
#include "board.h"
#include "harm.h"
#include "keeper.h"
#include "parts.h"
#include "stage.h"
#include "steerer.h"
#include "typist.h"
#include "worker.h"

#define TERMINALS 3
#define WORKERS	  24
#define TAKERS	  5
#define AT_STAGE  TERMINALS
#define AT_ANCHOR (TERMINALS + 1)
/* The first slots are the workers', then come the takers', that of who reads in front,
 * and these. */
#define ANCHOR	(WORKERS + TAKERS + 1)
#define STEERER (WORKERS + TAKERS + 2)

/* Generous: what is checked is that it comes to that. */
#define PATIENCE_MS 60000
#define QUIET_MS    4000 /* from one quiet to the next */
#define TICK_US	    2000

static struct {
	uint64_t random;
	int ttys[TERMINALS], masters[TERMINALS + 2], stage, anchor_tty;
	pid_t anchor, leader, steerer;
	struct harm harm;
	unsigned quiets;
	int64_t drained_max;
} storm;

#define EXPORTED __attribute__((visibility("default")))

/* For a sanitizer, if there is one, which has to find them: a status of its own; that a
 * process with threads forks, and that its child ends without them, is no mistake. */
EXPORTED const char *__asan_default_options(void);
EXPORTED const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "exitcode=66";
}

const char *__tsan_default_options(void)
{
	return "exitcode=66:halt_on_error=1:die_after_fork=0:report_thread_leaks=0";
}

/* --- processes -------------------------------------------------------------------- */

static int open_terminal(int *master)
{
	int tty;
	struct termios raw;

	if (openpty(master, &tty, NULL, NULL, NULL) < 0)
		board_fail("openpty: %s", strerror(errno));
	tcgetattr(tty, &raw);
	fcntl(*master, F_SETFD, FD_CLOEXEC);
	fcntl(tty, F_SETFD, FD_CLOEXEC);
	return tty;
}

static void close_masters(void)
{
	for (int i = 0; i < TERMINALS + 1; i++)
		close(storm.masters[i]);
	close(storm.stage);
}

static void start_worker(int i)
{
	uint64_t random = board_random(&storm.random);
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		part_begin("worker %d", i);
		close_masters();
		worker_run(&board->slots[i], random, storm.ttys, TERMINALS);
	}
	board->slots[i].pid = pid;
	storm.harm.continue_at[i] = 0;
}

static void start_all(void)
{
	for (int i = 0; i < TERMINALS; i++)
		storm.ttys[i] = open_terminal(&storm.masters[i]);
	storm.anchor_tty = open_terminal(&storm.masters[TERMINALS]);
	storm.leader = stage_open(
	    &board->slots[WORKERS], TAKERS, board_random(&storm.random), AT_STAGE, &storm.stage);
	board->slots[ANCHOR].state = BOARD_BUSY;
	storm.anchor = fork();
	if (storm.anchor == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		part_begin("the anchor");
		close_masters();
		anchor_run(&board->slots[ANCHOR], storm.anchor_tty, AT_ANCHOR);
	}
	for (int64_t end = board_ms() + board->patience_ms;
	     __atomic_load_n(&board->slots[ANCHOR].state, __ATOMIC_SEQ_CST) != BOARD_IDLE;) {
		if (board_ms() > end || board->failed)
			return;
		worker_pause(TICK_US);
	}
	for (int i = 0; i < WORKERS; i++)
		start_worker(i);
	storm.steerer = fork();
	if (storm.steerer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		part_begin("the steerer");
		close_masters();
		steerer_run(&board->slots[STEERER], board_random(&storm.random), storm.anchor);
	}
}

/* Also the daemons, and whoever else has lost its parent. */
static void reap(void)
{
	struct part_end e;

	while (part_await(WNOHANG, &e)) {
		if (!e.fair || e.pid == storm.anchor || e.pid == storm.leader ||
		    e.pid == storm.steerer)
			board_blame(e.pid, e.what);
		for (int i = 0; i < WORKERS; i++)
			if (board->slots[i].pid == e.pid)
				start_worker(i);
	}
}

/* --- quiet ---------------------------------------------------------------------------- */

static void tick(void)
{
	worker_pause(TICK_US);
	reap();
	typist_type(storm.stage);
}

static int busy(void)
{
	int n = 0;

	for (int i = 0; i < WORKERS + TAKERS; i++)
		n += __atomic_load_n(&board->slots[i].state, __ATOMIC_SEQ_CST) != BOARD_IDLE;
	n += __atomic_load_n(&board->slots[STEERER].state, __ATOMIC_SEQ_CST) != BOARD_IDLE;
	return n;
}

static int count_entry(const struct ttylock_entry *e, void *arg)
{
	unsigned *n = arg;

	board_note("still there: %" PRIu64 " of %d at %s, position %u", e->id, e->pid, e->terminal,
	    e->position);
	++*n;
	return 0;
}

/* How many requests the daemon knows, asked by a process for that: we have no
 * connection that they could inherit. -1: it could not be told. */
static int known(void)
{
	struct ttylock *t;
	unsigned n = 0;
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		close_masters();
		if (ttylock_open(&t, TTYLOCK_NO_TERMINAL, 0) < 0 ||
		    ttylock_list(t, 10000, count_entry, &n) < 0)
			_exit(255);
		_exit(n > 250 ? 250 : (int)n);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		typist_type(storm.stage);
	return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

static void fail_waiting(void)
{
	for (int i = 0; i < WORKERS + TAKERS; i++) {
		const struct slot *s = &board->slots[i];
		if (s->state != BOARD_IDLE)
			printf("  slot %d: pid %d, state %d at terminal %d for %" PRId64 " ms\n", i,
			    s->pid, s->state, s->terminal, board_ms() - s->since);
	}
	board->failed = 1;
	snprintf(board->failure, sizeof(board->failure), "lost: %d are not served", busy());
}

/* Nobody begins anything any more; all who wait are served, and nothing is left. */
static void be_quiet(void)
{
	int64_t began = board_ms();
	int left = 0;

	harm_end(&storm.harm);
	__atomic_store_n(&board->quiet, 1, __ATOMIC_SEQ_CST);
	while (busy() && !board->failed) {
		tick();
		if (board_ms() - began > board->patience_ms)
			fail_waiting();
	}
	int64_t drained = board_ms() - began;
	storm.drained_max = drained > storm.drained_max ? drained : storm.drained_max;
	/* The anchor's is one. */
	while (!board->failed && (left = known()) != 1) {
		tick();
		if (board_ms() - began > board->patience_ms) {
			board->failed = 1;
			snprintf(board->failure, sizeof(board->failure),
			    "%d requests of nobody are left", left - 1);
		}
	}
	storm.quiets++;
	__atomic_store_n(&board->quiet, 0, __ATOMIC_SEQ_CST);
}

/* --- the whole --------------------------------------------------------------------------- */

static void rage(int64_t seconds, unsigned kills)
{
	int64_t end = board_ms() + seconds * 1000;

	for (bool over = false; !over && !board->failed;) {
		int64_t now = board_ms(), calm = now + QUIET_MS;
		while (now < calm && !over && !board->failed) {
			harm_do(&storm.harm, now);
			tick();
			now = board_ms();
			over = now >= end || (kills && storm.harm.kills >= kills);
		}
		be_quiet();
	}
}

static void end_all(void)
{
	const pid_t others[] = {storm.steerer, storm.leader, storm.anchor};

	for (int i = 0; i < WORKERS; i++)
		if (board->slots[i].pid > 0)
			kill(board->slots[i].pid, SIGKILL);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (others[i] > 0) /* the run may have failed before it was there */
			kill(others[i], SIGKILL);
}

static void print_figures(int64_t took)
{
	const struct harm *h = &storm.harm;
	const uint64_t *c = board->counts;

	printf("seed %" PRIu64 ": %u kills, %u of them of the daemon, and %u ends and %u hangs of "
	       "it, %u stops of processes, in %" PRId64 " s\n",
	    board->seed, h->kills, h->daemons, h->terms, h->hangs, h->stops, took / 1000);
	printf("%" PRIu64 " grants, %" PRIu64 " nested ones, terminal taken %" PRIu64
	       " times, %" PRIu64 " lines typed; %" PRIu64 " busy, %" PRIu64 " timeouts, %" PRIu64
	       " deadlocks, %" PRIu64 " cancels, %" PRIu64 " crashes, %" PRIu64 " exits, %" PRIu64
	       " forks, %" PRIu64 " times no daemon\n",
	    c[BOARD_GRANTS], c[BOARD_NESTED], c[BOARD_TAKEN], c[BOARD_LINES], c[BOARD_BUSY_COUNT],
	    c[BOARD_TIMEOUTS], c[BOARD_DEADLOCKS], c[BOARD_CANCELS], c[BOARD_CRASHES],
	    c[BOARD_EXITS], c[BOARD_FORKS], c[BOARD_AWAY]);
	printf("steered: %" PRIu64 " of %" PRIu64 " released by force (%" PRIu64
	       " heard it), %" PRIu64 " of %" PRIu64 " served first, %" PRIu64 " of %" PRIu64
	       " cancelled, %" PRIu64 " of %" PRIu64
	       " skips; a terminal disturbed by force %" PRIu64 " times\n",
	    c[BOARD_FORCED], board->tries[BOARD_FORCED], c[BOARD_OUSTED], c[BOARD_FIRST],
	    board->tries[BOARD_FIRST], c[BOARD_CANCELLED], board->tries[BOARD_CANCELLED],
	    c[BOARD_SKIPS], board->tries[BOARD_SKIPS], c[BOARD_EXCUSED]);
	printf("quiet %u times, all served within %" PRId64 " ms at most\n", storm.quiets,
	    storm.drained_max);
}

/* What the daemons did, by the model's rules. */
static void check_log(void)
{
	char command[PATH_MAX + 64];

	snprintf(command, sizeof(command), "/usr/bin/python3 %s/tests/model/replay.py --open %s",
	    SOURCES, keeper_log());
	fflush(stdout);
	if (system(command) != 0) {
		board->failed = 1;
		strcpy(board->failure, "the daemons' log is not by the rules");
	}
}

/* At the very end, which is what is seen of a long output. */
static void print_blamed(void)
{
	if (!board->blamed)
		return;
	printf("the last notes of %d:\n", board->blamed);
	board_print_notes(20, board->blamed);
}

static int report(int64_t took)
{
	print_figures(took);
	if (!board->failed)
		steerer_check();
	if (!board->failed)
		check_log();
	if (!board->failed) {
		puts("0 double grants, 0 lost, 0 hangs");
		return 0;
	}
	printf("FAILED: %s\nagain with: storm %" PRId64 " 0 %" PRIu64 "\nthe last notes:\n",
	    board->failure, took / 1000 + 1, board->seed);
	board_print_notes(120, 0);
	puts("the daemon's log:");
	keeper_print_log(40);
	print_blamed();
	return 1;
}

int main(int argc, char **argv)
{
	int64_t seconds = argc > 1 ? atoll(argv[1]) : 10, began = board_ms();
	unsigned kills = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;

	if (!seed && getrandom(&seed, 4, 0) < 0)
		return 1;
	printf("seed %" PRIu64 "\n", seed);
	fflush(stdout);
	board_init(seed);
	const char *patience = getenv("CHAOS_PATIENCE_MS");
	board->patience_ms = patience ? atoi(patience) : PATIENCE_MS;
	storm.random = seed;
	storm.harm = (struct harm){.processes = WORKERS + TAKERS, .random = ~seed, .away = -1};
	keeper_init("lib/ttylockd");
	start_all();
	rage(seconds, kills);
	end_all();
	int status = report(board_ms() - began);
	keeper_end(status != 0);
	return status;
}
