#include "steerer.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#include "orders.h"
#include "stage.h"
#include "worker.h"

#define LIST_MS	 10000
#define PAUSE_US 60000

struct steerer {
	uint64_t random;
	pid_t spared;
	char command[PATH_MAX];
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
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	execl(s->command, "ttylock", args[0], args[1], args[2], args[3], (char *)NULL);
	_exit(127);
}

/* 0: done; 1: there was nothing to do; -1: nobody knows. Now and then the person
 * changes his mind. */
static int run(struct steerer *s, const char *const args[4])
{
	bool dies = draw(s, 8) == 0;
	int status;

	pid_t pid = fork();
	if (pid == 0)
		execute(s, args);
	if (dies) {
		worker_pause((unsigned)draw(s, 12000));
		kill(pid, SIGKILL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || WIFSIGNALED(status))
		return -1;
	if (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 1)
		return WEXITSTATUS(status);
	if (WEXITSTATUS(status) != 125) /* the daemon died over it */
		board_fail("%s: status %d", args[0], WEXITSTATUS(status));
	return -1;
}

static void force(struct steerer *s, const struct choice *c, const char *id)
{
	const char *args[4] = {"release", "--force", "--yes", id};

	if (c->on_stage)
		orders_note_stage();
	order_note(c->id, ORDER_FORCE);
	order_note_cancel(c->pid); /* for who did not hear of the grant before */
	int r = run(s, args);
	if (r == 1) {
		order_take_back(c->id, ORDER_FORCE);
		order_take_back_cancel(c->pid);
	}
	if (r == 0)
		order_note(c->id, ORDER_FORCED);
	board_note("request %s is released by force: %d", id, r);
	if (r == 0)
		board_count(BOARD_FORCED);
}

static void serve_first(struct steerer *s, const struct choice *c, const char *id)
{
	const char *args[4] = {"next", "--id", id};

	order_note(c->id, ORDER_FIRST);
	int r = run(s, args);
	board_note("request %s is served first: %d", id, r);
	if (r == 1)
		order_take_back(c->id, ORDER_FIRST);
	if (r == 0)
		board_count(BOARD_FIRST);
}

static void cancel(struct steerer *s, const struct choice *c, const char *id)
{
	const char *args[4] = {"cancel", "--id", id};

	order_note_cancel(c->pid);
	int r = run(s, args);
	board_note("request %s is cancelled: %d", id, r);
	if (r == 1)
		order_take_back_cancel(c->pid);
	if (r == 0)
		board_count(BOARD_CANCELLED);
}

static void skip(struct steerer *s, const char *id)
{
	const char *args[4] = {"skip", id};

	order_begin_skip();
	int r = run(s, args);
	board_note("those like request %s are skipped: %d", id, r);
	order_end_skip();
	if (r == 0)
		board_count(BOARD_SKIPS);
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
	for (;;) {
		board_state(slot, BOARD_IDLE, -1);
		worker_pause((unsigned)draw(&s, PAUSE_US));
		board_state(slot, BOARD_BUSY, -1);
		if (!__atomic_load_n(&board->quiet, __ATOMIC_SEQ_CST))
			steer(&s);
	}
}
