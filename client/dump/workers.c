#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/deadline.h"
#include "../lib/procfs.h"
#include "json.h"
#include "process.h"
#include "task.h"

#define WORKERS_MAX 4
/* Beyond the time that the worker sets itself: for what it cannot look up from,
 * a file system that hangs or an endless debug file. */
#define GRACE_MS   1000
#define RESULT_MAX (256u << 20)

struct worker {
	pid_t pid; /* 0: this place is free */
	int pipe;
	int64_t deadline;
	struct work *work;
	char *text;
	size_t len, size;
};

/* --- in the child ----------------------------------------------------------- */

static bool write_result(int fd, const json_t *result)
{
	char *text = json_dumps(result, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, text + done, len - done);
		if (n < 0)
			return false;
		done += (size_t)n;
	}
	return len > 0;
}

static void worker_main(pid_t parent, pid_t pid, int fd, int timeout_ms)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A look into the network for debug files would have no end. */
	unsetenv("DEBUGINFOD_URLS");
	if (getppid() != parent)
		_exit(1);
	json_t *result = process_dump(pid, deadline_in(timeout_ms));
	_exit(!write_result(fd, result));
}

/* --- the result ------------------------------------------------------------- */

static json_t *lost(const struct worker *w, bool late)
{
	struct procfs_stat ps;
	char wchan[64];

	if (!late)
		return json_pack("{s:s}", "error", "the look at its stacks failed");
	if (procfs_stat(w->work->pid, &ps) < 0)
		return json_pack("{s:s}", "error", "it has ended");
	task_wchan(w->work->pid, wchan, sizeof(wchan));
	return json_pack("{s:s, s:o}", "error", "no answer in time", "wchan", json_text(wchan));
}

static void finish(struct worker *w, bool late)
{
	if (late)
		kill(w->pid, SIGKILL);
	w->work->result = late ? NULL : json_loadb(w->text, w->len, 0, NULL);
	if (!w->work->result)
		w->work->result = lost(w, late);
	close(w->pipe);
	/* One that is stuck in the kernel is left to its fate. */
	waitpid(w->pid, NULL, late ? WNOHANG : 0);
	free(w->text);
	*w = (struct worker){0};
}

/* False: at the end, or beyond all bounds. */
static bool take_in(struct worker *w)
{
	if (w->size - w->len < 65536) {
		size_t size = w->size ? 2 * w->size : 1 << 17;
		char *grown = size <= RESULT_MAX ? realloc(w->text, size) : NULL;
		if (!grown)
			return false;
		w->text = grown;
		w->size = size;
	}
	ssize_t n = read(w->pipe, w->text + w->len, w->size - w->len);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	w->len += (size_t)n;
	return n > 0;
}

/* --- the pool --------------------------------------------------------------- */

static void start(struct worker *w, struct work *work, int timeout_ms)
{
	int fds[2];
	pid_t self = getpid();

	if (pipe2(fds, O_CLOEXEC) < 0) {
		work->result = json_pack("{s:s}", "error", strerror(errno));
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		worker_main(self, work->pid, fds[1], timeout_ms);
	close(fds[1]);
	if (pid < 0) {
		work->result = json_pack("{s:s}", "error", strerror(errno));
		close(fds[0]);
		return;
	}
	*w = (struct worker){.pid = pid,
	    .pipe = fds[0],
	    .deadline = deadline_in(timeout_ms + GRACE_MS),
	    .work = work};
}

static void serve(struct worker *workers)
{
	struct pollfd fds[WORKERS_MAX];
	int64_t first = -1;

	for (int i = 0; i < WORKERS_MAX; i++) {
		struct worker *w = &workers[i];
		fds[i] = (struct pollfd){.fd = w->pid ? w->pipe : -1, .events = POLLIN};
		if (w->pid && (first < 0 || w->deadline < first))
			first = w->deadline;
	}
	if (poll(fds, WORKERS_MAX, deadline_left(first)) < 0)
		return;
	for (int i = 0; i < WORKERS_MAX; i++) {
		struct worker *w = &workers[i];
		if (!w->pid)
			continue;
		if (fds[i].revents && !take_in(w))
			finish(w, false);
		else if (deadline_left(w->deadline) == 0)
			finish(w, true);
	}
}

void workers_run(struct work *work, size_t count, int timeout_ms)
{
	struct worker workers[WORKERS_MAX] = {0};
	size_t next = 0;

	for (;;) {
		bool busy = false;
		for (int i = 0; i < WORKERS_MAX; i++) {
			while (!workers[i].pid && next < count)
				start(&workers[i], &work[next++], timeout_ms);
			busy |= workers[i].pid != 0;
		}
		if (!busy)
			return;
		serve(workers);
	}
}
