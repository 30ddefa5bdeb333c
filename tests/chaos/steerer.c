#include "steerer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#include "orders.h"
#include "stage.h"
#include "worker.h"

#define LIST_MS	 10000
#define PAUSE_US 60000

/* Of so many orders of a kind some find nobody any more, or no daemon; one in so many is
 * to be carried out. */
#define TRIES_MIN 40
#define ONE_IN	  20

struct steerer {
	uint64_t random;
	pid_t spared;
	char command[PATH_MAX];
	int said; /* what the command writes */
};

/* One of those that there are, each as likely as any other. */
struct choice {
	struct steerer *steerer;
	uint64_t seen, id;
	pid_t pid;
	bool holds, only_holders, on_stage;
};

static uint64_t draw(struct steerer *s, uint64_t below)
{
	return board_random(&s->random) % below;
}

/* Beside us: build/tests/chaos/storm, build/ttylock. */
static void find_command(char out[PATH_MAX])
{
	if (readlink("/proc/self/exe", out, PATH_MAX - 32) < 0)
		board_fail("/proc/self/exe");
	for (int i = 0; i < 3; i++)
		*strrchr(out, '/') = '\0';
	strcat(out, "/ttylock");
}

static int choose(const struct ttylock_entry *e, void *arg)
{
	struct choice *c = arg;

	if (e->pid == c->steerer->spared || (c->only_holders && e->position))
		return 0;
	if (draw(c->steerer, ++c->seen) != 0)
		return 0;
	c->id = e->id;
	c->pid = e->pid;
	c->holds = e->position == 0;
	c->on_stage = !strcmp(e->text, STAGE_TEXT);
	return 0;
}

/* --- orders ------------------------------------------------------------------------ */

__attribute__((noreturn)) static void execute(const struct steerer *s, const char *const args[4])
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 0);
	dup2(s->said, 1);
	dup2(s->said, 2);
	execl(s->command, "ttylock", args[0], args[1], args[2], args[3], (char *)NULL);
	_exit(127);
}

/* What it wrote, its first line. */
static void read_said(struct steerer *s, char *out, size_t size)
{
	ssize_t n = pread(s->said, out, size - 1, 0);

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static int execute_and_wait(struct steerer *s, const char *const args[4])
{
	bool dies = draw(s, 8) == 0;
	char said[160];
	int status;

	if (ftruncate(s->said, 0) < 0)
		board_fail("ftruncate: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0)
		execute(s, args);
	if (dies) {
		worker_pause((unsigned)draw(s, 12000));
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid || WIFSIGNALED(status))
		return -1;
	if (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 1)
		return WEXITSTATUS(status);
	read_said(s, said, sizeof(said));
	if (WEXITSTATUS(status) != 125) /* the daemon died over it */
		board_fail("%s: status %d: %s", args[0], WEXITSTATUS(status), said);
	board_note("%s", said);
	return -1;
}

/* 0: done; 1: there was nothing to do; -1: nobody knows. Now and then the person
 * changes his mind. */
static int run(struct steerer *s, enum board_count what, const char *const args[4])
{
	board_try(what);
	int r = execute_and_wait(s, args);
	if (r == 0)
		board_count(what);
	return r;
}

static void force(struct steerer *s, const struct choice *c, const char *id)
{
	const char *args[4] = {"release", "--force", "--yes", id};

	if (c->on_stage)
		orders_note_stage();
	order_note(c->id, ORDER_FORCE);
	order_note_cancel(c->pid); /* for who did not hear of the grant before */
	int r = run(s, BOARD_FORCED, args);
	if (r == 1) {
		order_take_back(c->id, ORDER_FORCE);
		order_take_back_cancel(c->pid);
	}
	if (r == 0)
		order_note(c->id, ORDER_FORCED);
	board_note("request %s is released by force: %d", id, r);
}

static void serve_first(struct steerer *s, const struct choice *c, const char *id)
{
	const char *args[4] = {"next", "--id", id};

	order_note(c->id, ORDER_FIRST);
	int r = run(s, BOARD_FIRST, args);
	board_note("request %s is served first: %d", id, r);
	if (r == 1)
		order_take_back(c->id, ORDER_FIRST);
}

static void cancel(struct steerer *s, const struct choice *c, const char *id)
{
	const char *args[4] = {"cancel", "--id", id};

	order_note_cancel(c->pid);
	int r = run(s, BOARD_CANCELLED, args);
	board_note("request %s is cancelled: %d", id, r);
	if (r == 1)
		order_take_back_cancel(c->pid);
}

static void skip(struct steerer *s, const char *id)
{
	const char *args[4] = {"skip", id};

	order_begin_skip();
	int r = run(s, BOARD_SKIPS, args);
	board_note("those like request %s are skipped: %d", id, r);
	order_end_skip();
}

static void steer(struct steerer *s)
{
	struct choice c = {.steerer = s, .only_holders = draw(s, 3) == 0};
	struct ttylock *t;
	char id[32];

	if (ttylock_open(&t, TTYLOCK_NO_TERMINAL, 0) < 0)
		return;
	int r = ttylock_list(t, LIST_MS, choose, &c);
	ttylock_close(t);
	if (r < 0 || !c.id)
		return;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)c.id);
	if (draw(s, 12) == 0)
		skip(s, id);
	else if (c.holds)
		force(s, &c, id);
	else if (draw(s, 3) == 0)
		cancel(s, &c, id);
	else
		serve_first(s, &c, id);
}

void steerer_run(struct slot *slot, uint64_t random, pid_t spared)
{
	struct steerer s = {.random = random, .spared = spared};

	find_command(s.command);
	s.said = memfd_create("what the command says", MFD_CLOEXEC);
	fcntl(s.said, F_SETFL, O_APPEND);
	for (;;) {
		board_state(slot, BOARD_IDLE, -1);
		worker_pause((unsigned)draw(&s, PAUSE_US));
		board_state(slot, BOARD_BUSY, -1);
		if (__atomic_load_n(&board->quiet, __ATOMIC_SEQ_CST))
			continue;
		order_begin();
		steer(&s);
		order_end();
	}
}

void steerer_check(void)
{
	static const struct {
		enum board_count what;
		const char *name;
	} kinds[] = {{BOARD_FORCED, "released by force"}, {BOARD_FIRST, "served first"},
	    {BOARD_CANCELLED, "cancelled"}, {BOARD_SKIPS, "skipped"}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		uint64_t done = board->counts[kinds[i].what], tries = board->tries[kinds[i].what];
		if (tries < TRIES_MIN || done * ONE_IN >= tries)
			continue;
		board->failed = 1;
		snprintf(board->failure, sizeof(board->failure), "%s: only %llu of %llu",
		    kinds[i].name, (unsigned long long)done, (unsigned long long)tries);
	}
}
