#include "stage.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../../client/lib/deadline.h"
#include "../../client/lib/greet.h"
#include "../../client/lib/lock.h"
#include "../outside.h"
#include "ttylock.h"

#define PATIENCE_MS 20000

static char dir[] = "/tmp/stage.XXXXXX", *const unique = dir + sizeof(dir) - 7;
static char sock[sizeof(dir) + 16];
static int master = -1, slave = -1;
static pid_t daemon_pid;
static int own_descriptors, daemon_descriptors;

const char *const stage_daemon[] = {
    BUILD_DIR "/ttylockd", "--socket", sock, "--log-level", "error", NULL};

int stage_terminal(void)
{
	return slave;
}

int stage_repeats(void)
{
	const char *given = getenv("SCHEDULE_REPEATS");

	return given ? atoi(given) : 1000;
}

/* --- once ------------------------------------------------------------------ */

static bool open_terminal(void)
{
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return false;
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	return slave >= 0;
}

/* Whatever becomes of us, it goes with us. */
static bool start_daemon(void)
{
	int ready[2];
	char number[16], byte;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return false;
	daemon_pid = fork();
	if (daemon_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(number, sizeof(number), "%d", dup(ready[1]));
		execl(stage_daemon[0], stage_daemon[0], "--socket", sock, "--log-level", "error",
		    "--ready-fd", number, (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	/* Until it has closed it, too: its descriptors are counted. */
	bool serves =
	    daemon_pid > 0 && read(ready[0], &byte, 1) == 1 && read(ready[0], &byte, 1) == 0;
	close(ready[0]);
	return serves;
}

int stage_set_up(bool with_daemon)
{
	/* Actors die of signals; 1 is for none even where a program takes them. */
	setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1});
	strcpy(unique, "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof(sock), "%s/socket", dir);
	setenv("TTYLOCK_SOCKET", sock, 1);
	return open_terminal() && (!with_daemon || start_daemon()) ? 0 : -1;
}

int stage_tear_down(void)
{
	char lock[sizeof(sock) + 8];
	int status = 0;

	if (daemon_pid > 0 &&
	    (kill(daemon_pid, SIGTERM) < 0 || waitpid(daemon_pid, &status, 0) < 0))
		status = -1;
	daemon_pid = daemon_descriptors = 0;
	close(master);
	close(slave);
	snprintf(lock, sizeof(lock), "%s.lock", sock);
	unlink(lock);
	snprintf(lock, sizeof(lock), "%s.ledger", sock);
	unlink(lock);
	unlink(sock);
	return rmdir(dir) < 0 || status != 0 ? -1 : 0;
}

/* --- a look from outside --------------------------------------------------- */

/* Says each of the daemon's requests to fn. False: it does not answer. */
static bool look(struct channel *c, void (*fn)(const ttylock_Entry *e, void *arg), void *arg)
{
	int64_t deadline = deadline_in(PATIENCE_MS);
	ttylock_Envelope e = ttylock_Envelope_init_zero;

	e.which_body = ttylock_Envelope_status_query_tag;
	e.body.status_query.query = 1;
	if (channel_send(c, &e, -1, deadline) < 0)
		return false;
	for (;;) {
		if (channel_receive(c, &e, deadline) <= 0)
			return false;
		if (e.which_body != ttylock_Envelope_status_report_tag)
			continue;
		if (e.body.status_report.last)
			return true;
		fn(&e.body.status_report.entry, arg);
	}
}

struct wanted {
	const char *task; /* NULL: nobody at all */
	bool holds;
	uint64_t id; /* of the one that is found, or */
	int others;
};

static void compare(const ttylock_Entry *e, void *arg)
{
	struct wanted *w = arg;

	if (w->task && strcmp(e->task.name, w->task) == 0 && (e->position == 0) == w->holds)
		w->id = e->id;
	else
		w->others++;
}

/* Looks until it is so. */
static bool await(struct wanted *w)
{
	int64_t deadline = deadline_in(PATIENCE_MS);
	struct channel c;
	struct greeting g;
	bool good;

	if (greet_at(&c, sock, &g, deadline) < 0)
		return false;
	do {
		w->id = 0;
		w->others = 0;
		good = look(&c, compare, w) && (w->task ? w->id != 0 : w->others == 0);
	} while (!good && deadline_left(deadline) > 0 && sched_yield() == 0);
	channel_close(&c);
	return good;
}

bool stage_holds(const char *task)
{
	return await(&(struct wanted){.task = task, .holds = true});
}

bool stage_waits(const char *task)
{
	return await(&(struct wanted){.task = task});
}

static void note_holder(const ttylock_Entry *e, void *arg)
{
	if (e->position == 0)
		*(uint64_t *)arg = e->id;
}

bool stage_force(void)
{
	int64_t deadline = deadline_in(PATIENCE_MS);
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	struct channel c;
	struct greeting g;
	uint64_t id = 0;

	if (greet_at(&c, sock, &g, deadline) < 0)
		return false;
	bool good = look(&c, note_holder, &id) && id;
	e.which_body = ttylock_Envelope_force_release_tag;
	e.body.force_release.id = id;
	good = good && channel_send(&c, &e, -1, deadline) == 0 &&
	       channel_receive(&c, &e, deadline) == 1 &&
	       e.which_body == ttylock_Envelope_lock_status_tag;
	channel_close(&c);
	return good;
}

/* --- before and after ------------------------------------------------------ */

/* The daemon sees the ends of others a moment later. */
static bool daemon_has_closed(void)
{
	int64_t deadline = deadline_in(PATIENCE_MS);

	while (outside_descriptors(daemon_pid) != daemon_descriptors)
		if (deadline_left(deadline) == 0 || sched_yield() < 0)
			return false;
	return true;
}

static bool complain(bool good, const char *what)
{
	if (!good)
		fprintf(stderr, "afterwards: %s\n", what);
	return good;
}

/* Takes the terminal and mends it: so the daemon forgets how it was left. */
static bool next_is_granted(void)
{
	struct ttylock_wish wish = {.task_name = "next"};
	struct ttylock *t;
	uint64_t id;

	if (ttylock_open(&t, slave, 0) < 0)
		return false;
	bool good = ttylock_acquire(t, &wish, PATIENCE_MS, &id) == 0 &&
		    lock_save(t, id, (const uint8_t *)"", 0) == 0 && ttylock_release(t, id) == 0;
	ttylock_close(t);
	return good;
}

bool stage_enter(void *context)
{
	(void)context;
	/* Nobody reads what is said there. */
	tcflush(slave, TCOFLUSH);
	own_descriptors = outside_descriptors(getpid());
	if (daemon_pid > 0 && daemon_descriptors == 0)
		daemon_descriptors = outside_descriptors(daemon_pid);
	return true;
}

bool stage_is_left(void *context)
{
	(void)context;
	return complain(outside_descriptors(getpid()) == own_descriptors, "a descriptor is left");
}

bool stage_is_clear(void *context)
{
	bool free = complain(next_is_granted(), "the next one is not granted");
	bool empty = complain(await(&(struct wanted){0}), "somebody holds or waits");
	bool closed = complain(daemon_has_closed(), "the daemon has other descriptors than before");

	return stage_is_left(context) && free && empty && closed;
}
