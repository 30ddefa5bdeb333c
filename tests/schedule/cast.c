#include "cast.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../client/lib/deadline.h"

/* Beside the test programs. */
#define DRIVER "schedule_driver.so"

/* --- processes ------------------------------------------------------------- */

static void put_before(const char *variable, const char *value, char separator)
{
	const char *old = getenv(variable);
	char *both;

	if (asprintf(&both, "%s%c%s", value, separator, old ? old : "") < 0)
		_exit(126);
	setenv(variable, old ? both : value, 1);
}

/* In the child. */
static int become_program(const struct cast_member *m)
{
	char exe[PATH_MAX], driver[PATH_MAX + sizeof(DRIVER)];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	void *context = m->cast->context;

	exe[n < 0 ? 0 : n] = '\0';
	snprintf(driver, sizeof(driver), "%s/%s", dirname(exe), DRIVER);
	put_before("LD_PRELOAD", driver, ':');
	put_before("ASAN_OPTIONS", "verify_asan_link_order=0", ':');
	setenv(BOARD_ENV, m->cast->board_path, 1);
	if (m->actor->run && m->actor->run(context) != 0)
		return 126;
	execvp(m->actor->argv[0], (char *const *)m->actor->argv);
	perror(m->actor->argv[0]);
	m->slot->unstarted = true;
	return 127;
}

static int start_process(struct cast_member *m)
{
	fflush(NULL);
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		board_begin(m->cast->board, m->slot);
		int r =
		    m->actor->kind == PROGRAM ? become_program(m) : m->actor->run(m->cast->context);
		fflush(NULL);
		_exit(r);
	}
	m->pidfd = pidfd_open(pid, 0);
	if (m->pidfd < 0) {
		int r = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return r;
	}
	return 0;
}

static void reap(struct cast_member *m)
{
	siginfo_t info = {0};

	waitid(P_PIDFD, (id_t)m->pidfd, &info, WEXITED);
	board_end(
	    m->cast->board, m->slot, info.si_code == CLD_EXITED ? info.si_status : -info.si_status);
}

static void *watch(void *arg)
{
	struct pollfd fds[SCHEDULE_ACTORS + 1];
	struct cast *c = arg;

	for (size_t i = 0; i < c->n; i++)
		fds[i] = (struct pollfd){.fd = c->members[i].pidfd, .events = POLLIN};
	fds[c->n] = (struct pollfd){.fd = c->dismiss, .events = POLLIN};
	for (;;) {
		poll(fds, c->n + 1, -1);
		for (size_t i = 0; i < c->n; i++) {
			if (fds[i].fd >= 0 && fds[i].revents) {
				reap(&c->members[i]);
				fds[i].fd = -1;
			}
		}
		if (fds[c->n].revents)
			return NULL;
	}
}

/* --- threads --------------------------------------------------------------- */

static void *perform(void *arg)
{
	struct cast_member *m = arg;

	board_begin(m->cast->board, m->slot);
	board_end(m->cast->board, m->slot, m->actor->run(m->cast->context));
	return NULL;
}

/* With every signal blocked: those are for the code under test. */
static int start_watcher(struct cast *c)
{
	sigset_t all, old;

	c->dismiss = eventfd(0, EFD_CLOEXEC);
	if (c->dismiss < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = -pthread_create(&c->watcher, NULL, watch, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->watched = r == 0;
	return r;
}

/* --- all of them ----------------------------------------------------------- */

int cast_start(struct cast *c, const struct schedule *s, struct board *b, const char *board_path,
    void *context)
{
	bool processes = false;
	int r = 0;

	*c = (struct cast){.board = b, .board_path = board_path, .context = context, .dismiss = -1};
	for (c->n = 0; c->n < b->n_slots; c->n++)
		c->members[c->n] = (struct cast_member){
		    .actor = &s->actors[c->n], .slot = &b->slots[c->n], .cast = c, .pidfd = -1};
	for (size_t i = 0; i < c->n && r == 0; i++) {
		struct cast_member *m = &c->members[i];
		if (m->actor->kind == PROCESS || m->actor->kind == PROGRAM) {
			processes = true;
			r = start_process(m);
		}
	}
	if (r == 0 && processes)
		r = start_watcher(c);
	for (size_t i = 0; i < c->n && r == 0; i++) {
		struct cast_member *m = &c->members[i];
		if (m->actor->kind == THREAD) {
			r = -pthread_create(&m->thread, NULL, perform, m);
			m->has_thread = r == 0;
		}
	}
	return r;
}

/* Whether the member has ended within ms. */
static bool await_end(struct cast_member *m, int ms)
{
	int64_t deadline = deadline_in(ms);

	for (;;) {
		uint32_t seen = m->cast->board->news;
		if (m->slot->ended)
			return true;
		int left = deadline_left(deadline);
		if (left == 0)
			return false;
		board_await(m->cast->board, seen, left);
	}
}

static void end_process(struct cast_member *m)
{
	if (!m->cast->watched) {
		pidfd_send_signal(m->pidfd, SIGKILL, NULL, 0);
		reap(m);
	} else if (!m->slot->ended) {
		pidfd_send_signal(m->pidfd, SIGKILL, NULL, 0);
		await_end(m, INT_MAX);
	}
}

bool cast_end(struct cast *c, int ms)
{
	bool all = true;

	/* Where they stand, before anybody is let go. */
	for (size_t i = 0; i < c->n; i++)
		if (c->members[i].pidfd >= 0)
			end_process(&c->members[i]);
	c->board->over = true;
	for (size_t i = 0; i < c->n; i++)
		board_let(c->members[i].slot, UINT32_MAX);
	for (size_t i = 0; i < c->n; i++) {
		struct cast_member *m = &c->members[i];
		if (m->has_thread && await_end(m, ms))
			pthread_join(m->thread, NULL);
		else if (m->has_thread)
			all = pthread_detach(m->thread) < 0;
	}
	if (c->watched) {
		eventfd_write(c->dismiss, 1);
		pthread_join(c->watcher, NULL);
	}
	for (size_t i = 0; i < c->n; i++)
		if (c->members[i].pidfd >= 0)
			close(c->members[i].pidfd);
	if (c->dismiss >= 0)
		close(c->dismiss);
	return all;
}

/* A process that is no child of ours: its end is all that can be seen of it. */
static int kill_found(struct cast_member *m, int ms)
{
	int pidfd = pidfd_open(m->slot->pid, 0);

	if (pidfd < 0)
		return -errno;
	struct pollfd end = {.fd = pidfd, .events = POLLIN};
	int r = pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
	if (r == 0 && poll(&end, 1, ms) != 1)
		r = -ETIMEDOUT;
	close(pidfd);
	if (r == 0)
		board_end(m->cast->board, m->slot, -SIGKILL);
	return r;
}

int cast_kill(struct cast_member *m, int ms)
{
	if (m->slot->ended)
		return -ESRCH;
	if (m->slot->pid == 0 || m->slot->pid == getpid())
		return -EINVAL;
	if (m->pidfd < 0)
		return kill_found(m, ms);
	if (pidfd_send_signal(m->pidfd, SIGKILL, NULL, 0) < 0)
		return -errno;
	return await_end(m, ms) ? 0 : -ETIMEDOUT;
}

int cast_signal(struct cast_member *m, int sig)
{
	if (m->slot->ended || m->slot->tid == 0)
		return -ESRCH;
	return syscall(SYS_tgkill, m->slot->pid, m->slot->tid, sig) < 0 ? -errno : 0;
}
