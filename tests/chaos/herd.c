/* A herd: very many processes that wait for one terminal, and a daemon that is
 * killed as often.
 *
 *     herd CLIENTS DEATHS
 *
 * After each death all have to come back, each with the request that it had. How
 * long that took is printed, apart for daemons that a service manager would have
 * started and for those that the clients start. In the end all are served, exactly
 * in the order in which they asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#include "board.h"
#include "keeper.h"

/* Generous: what is checked is that it comes to that. */
#define BACK_MS	  60000
#define SERVED_MS 300000
#define LOOK_US	  1000

struct client {
	unsigned answers; /* of daemons that know its request */
	uint64_t id;	  /* the daemon's */
};

static struct herd {
	unsigned back; /* clients' answers in all */
	unsigned served;
	int go;
	struct client clients[];
} * herd;

static int tty, master;
static unsigned count;
static pid_t *pids;

static void nap(void)
{
	usleep(LOOK_US);
}

/* --- a client --------------------------------------------------------------------- */

/* The one answer after each death says that it waits, or holds, as before. */
static void look(struct ttylock *t, uint64_t request, struct client *c, struct ttylock_status *s)
{
	int r = ttylock_dispatch(t, 100);

	if (r < 0 && r != -EINTR)
		board_fail("dispatch: %s", strerror(-r));
	if (ttylock_get_status(t, request, s) < 0 ||
	    (s->state != TTYLOCK_QUEUED && s->state != TTYLOCK_GRANTED))
		board_fail("a request that nobody ended has state %d", (int)s->state);
	if (r <= 0 || !s->id)
		return;
	if (c->id && s->id != c->id)
		board_fail("request %llu has become %llu", (unsigned long long)c->id,
		    (unsigned long long)s->id);
	c->id = s->id;
	c->answers++;
	__atomic_add_fetch(&herd->back, 1, __ATOMIC_SEQ_CST);
}

/* Number 0 holds first, until it is told to go on. */
__attribute__((noreturn)) static void wait_for_turn(unsigned number)
{
	struct ttylock_wish wish = {.text = "one of many"};
	struct ttylock_status s = {0};
	struct client *c = &herd->clients[number];
	struct ttylock *t;
	uint64_t request;

	int r = ttylock_open(&t, tty, TTYLOCK_START);
	if (r == 0)
		r = ttylock_acquire_async(t, &wish, &request);
	if (r < 0)
		board_fail("asking: %s", strerror(-r));
	while (s.state != TTYLOCK_GRANTED || !__atomic_load_n(&herd->go, __ATOMIC_SEQ_CST))
		look(t, request, c, &s);
	uint64_t mark = board_enter(0, s.id, 0);
	unsigned turn = __atomic_fetch_add(&herd->served, 1, __ATOMIC_SEQ_CST);
	if (turn != number)
		board_fail("number %u is served as number %u", number, turn);
	board_leave(0, mark);
	r = ttylock_release(t, request);
	if (r < 0)
		board_fail("release: %s", strerror(-r));
	ttylock_close(t);
	_exit(0);
}

static void start_client(unsigned number)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		close(master);
		wait_for_turn(number);
	}
	pids[number] = pid;
}

/* --- the daemon's deaths -------------------------------------------------------------- */

/* Waits until so many answers have come in all. How long, in ms; -1: not all. */
static int64_t await(const unsigned *what, unsigned wanted, int64_t limit_ms)
{
	int64_t began = board_ms();

	while (__atomic_load_n(what, __ATOMIC_SEQ_CST) < wanted) {
		if (board_ms() - began > limit_ms || board->failed)
			return -1;
		nap();
	}
	return board_ms() - began;
}

/* All are asked for one after the other, so that their order is known. */
static bool start_all(void)
{
	for (unsigned i = 0; i < count; i++) {
		start_client(i);
		if (await(&herd->back, i + 1, BACK_MS) < 0)
			return false;
	}
	return true;
}

static int64_t die(bool start)
{
	pid_t pid;
	unsigned back = __atomic_load_n(&herd->back, __ATOMIC_SEQ_CST);

	while ((pid = keeper_pid()) <= 0)
		nap();
	int64_t began = board_ms();
	kill(pid, SIGKILL);
	if (start)
		keeper_start();
	if (await(&herd->back, back + count, BACK_MS) < 0)
		return -1;
	int64_t took = board_ms() - began;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return took;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *who, int64_t *ms, unsigned n)
{
	if (n == 0)
		return;
	qsort(ms, n, sizeof(*ms), compare);
	printf("all %u back, ms after the kill of a daemon that %s starts (%u times): least %lld, "
	       "median %lld, 90%% %lld, 99%% %lld, most %lld\n",
	    count, who, n, (long long)ms[0], (long long)ms[n / 2], (long long)ms[n * 9 / 10],
	    (long long)ms[n * 99 / 100], (long long)ms[n - 1]);
}

static bool die_often(unsigned deaths)
{
	int64_t *times[2] = {
	    calloc(deaths + 1, sizeof(int64_t)), calloc(deaths + 1, sizeof(int64_t))};
	unsigned n[2] = {0};

	for (unsigned i = 0; i < deaths; i++) {
		int64_t took = die(i % 2);
		if (took < 0) {
			printf("death %u: only %u answers of %u\n", i, herd->back, (i + 2) * count);
			return false;
		}
		times[i % 2][n[i % 2]++] = took;
	}
	print_times("a manager", times[1], n[1]);
	print_times("one of them", times[0], n[0]);
	free(times[0]);
	free(times[1]);
	return true;
}

/* Each takes its turn, the daemon being killed among them, too. */
static bool serve_all(void)
{
	unsigned deaths = 0;
	int64_t began = board_ms();

	herd->go = 1;
	for (unsigned next = count / 5; next < count; next += count / 5 + 1) {
		if (await(&herd->served, next, SERVED_MS) < 0)
			return false;
		pid_t pid = keeper_pid();
		deaths += pid > 0 && kill(pid, SIGKILL) == 0;
	}
	if (await(&herd->served, count, SERVED_MS) < 0)
		return false;
	printf("%u served in the order in which they asked, in %lld ms, with %u more deaths\n",
	    count, (long long)(board_ms() - began), deaths);
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit files = {4096, 4096};
	unsigned deaths;

	if (argc != 3)
		return 64;
	count = (unsigned)atoi(argv[1]);
	deaths = (unsigned)atoi(argv[2]);
	setrlimit(RLIMIT_NOFILE, &files);
	board_init(0);
	keeper_init("../../ttylockd");
	pids = calloc(count, sizeof(*pids));
	herd = mmap(NULL, sizeof(*herd) + count * sizeof(struct client), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (herd == MAP_FAILED || !pids || openpty(&master, &tty, NULL, NULL, NULL) < 0)
		return 1;
	bool good = start_all() && die_often(deaths) && serve_all() && !board->failed;
	for (unsigned i = 0; i < count; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	if (good) {
		printf("%u clients, %u deaths of the daemon: 0 double grants, 0 lost\n", count,
		    deaths);
	} else {
		printf("FAILED: %s; %u of %u served\nthe last notes:\n",
		    board->failed ? board->failure : "not all have come back", herd->served, count);
		board_print_notes(60, 0);
		keeper_print_log(60);
	}
	keeper_end(false);
	return !good;
}
