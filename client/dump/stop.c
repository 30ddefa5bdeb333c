#include "stop.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "../lib/deadline.h"
#include "../lib/procfs.h"
#include "registers.h"
#include "task.h"

/* Uninterruptible sleep is mostly a matter of microseconds; of a thread that is
 * still in it after so long we do not wait for the end. */
#define PATIENCE_D_MS 200

/* Another dump of the same process has it for a moment. */
#define PATIENCE_DUMP_MS 5

/* --- stopping --------------------------------------------------------------- */

struct stopped_thread *stop_find(const struct stop *s, pid_t tid)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->threads[i].tid == tid)
			return &s->threads[i];
	return NULL;
}

/* 1; 0: it has ended; -errno. */
static int add(struct stop *s, pid_t tid)
{
	struct stopped_thread *grown = reallocarray(s->threads, s->count + 1, sizeof(*s->threads));
	struct procfs_stat ps;

	if (!grown)
		return -ENOMEM;
	s->threads = grown;
	struct stopped_thread *t = &s->threads[s->count];
	*t = (struct stopped_thread){.tid = tid};
	procfs_comm(tid, t->name);
	t->state = procfs_stat(tid, &ps) == 0 ? ps.state : 'Z';
	/* The first thread may end before the others: then it stays like this. */
	if (t->state == 'Z' || t->state == 'X')
		return 0;
	task_wchan(tid, t->wchan, sizeof(t->wchan));
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
		return errno == ESRCH ? 0 : -errno;
	t->seized = true;
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	s->count++;
	return 1;
}

/* One look at the list of threads; those that are new to us are seized.
 * Returns how many were, or -errno when the process as a whole is out of
 * reach. */
static int seize_new(struct stop *s)
{
	char path[64];
	int added = 0, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)s->pid);
	DIR *dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	s->left_out = 0;
	for (struct dirent *d; r >= 0 && (d = readdir(dir));) {
		pid_t tid = atoi(d->d_name);
		if (tid <= 0 || stop_find(s, tid))
			continue;
		if (s->count == STOP_THREADS_MAX) {
			s->left_out++;
			continue;
		}
		r = add(s, tid);
		if (r > 0)
			added++;
	}
	closedir(dir);
	return r < 0 ? r : added;
}

static void take_in(struct stop *s, pid_t tid, int status)
{
	struct stopped_thread *t = stop_find(s, tid);

	if (!t)
		return;
	if (!WIFSTOPPED(status)) {
		*t = s->threads[--s->count]; /* it has ended */
		return;
	}
	t->stopped = true;
	/* Stopped on the way to a signal rather than by our interrupt. */
	if (status >> 16 == 0)
		t->signal = WSTOPSIG(status);
}

static bool all_stopped(const struct stop *s, int64_t give_up_d)
{
	struct procfs_stat ps;

	for (size_t i = 0; i < s->count; i++) {
		const struct stopped_thread *t = &s->threads[i];
		if (t->stopped)
			continue;
		if (deadline_left(give_up_d) > 0 || procfs_stat(t->tid, &ps) < 0 || ps.state != 'D')
			return false;
	}
	return true;
}

static void await_stops(struct stop *s, int64_t deadline)
{
	int64_t give_up_d = deadline_in(PATIENCE_D_MS);
	int status;
	pid_t tid;

	while (deadline_left(deadline) > 0) {
		bool news = false;
		while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
			take_in(s, tid, status);
			news = true;
		}
		if (all_stopped(s, give_up_d) || tid < 0)
			return;
		if (!news)
			poll(NULL, 0, 1);
	}
}

int stop_process(struct stop *s, pid_t pid, int64_t deadline_ms)
{
	int r;

	*s = (struct stop){.pid = pid};
	/* Until a look finds nobody new: those not stopped yet may have started
	 * others. */
	while ((r = seize_new(s)) != 0 && deadline_left(deadline_ms) > 0) {
		if (r == -EPERM && s->count == 0 && task_is_own(procfs_tracer(pid)))
			poll(NULL, 0, PATIENCE_DUMP_MS);
		else if (r < 0)
			break;
		else
			await_stops(s, deadline_ms);
	}
	if (r < 0)
		return r;
	return s->count > 0 ? 0 : -ESRCH;
}

/* --- letting go ------------------------------------------------------------- */

void stop_release(struct stop *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct stopped_thread *t = &s->threads[i];
		if (!t->stopped)
			continue; /* our end lets it go */
		/* Only where it slept: what others stopped has failed already. */
		if (t->state == 'S' && t->signal == 0 && !task_has_signal(t->tid))
			registers_restart(t->tid);
		ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(intptr_t)t->signal);
		t->stopped = false;
	}
}

void stop_deinit(struct stop *s)
{
	stop_release(s);
	free(s->threads);
	*s = (struct stop){0};
}
