#include "unwind.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/deadline.h"
#include "registers.h"

/* --- the process as libdwfl sees it ----------------------------------------- */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	struct unwind *u = arg;
	size_t next =
	    *thread_arg ? (size_t)((struct stopped_thread *)*thread_arg - u->stop->threads) + 1 : 0;

	(void)dwfl;
	if (next >= u->stop->count)
		return 0;
	*thread_arg = &u->stop->threads[next];
	return u->stop->threads[next].tid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	struct unwind *u = arg;

	(void)dwfl;
	*thread_arg = stop_find(u->stop, tid);
	return *thread_arg != NULL;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct stopped_thread *t = arg;

	return t->stopped ? registers_of_stopped(thread, t->tid)
			  : registers_of_sleeping(thread, t->tid);
}

/* A stack is read word by word: a system call for each would take its time. */
static bool fill_page(struct unwind *u, uint64_t page)
{
	struct iovec local = {.iov_base = u->page_bytes, .iov_len = sizeof(u->page_bytes)};
	struct iovec remote = {.iov_base = (void *)page, .iov_len = sizeof(u->page_bytes)};
	ssize_t n = process_vm_readv(u->stop->pid, &local, 1, &remote, 1, 0);

	u->page = page;
	u->page_len = n < 0 ? 0 : (size_t)n;
	return n > 0;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	struct unwind *u = arg;
	uint8_t *to = (uint8_t *)result;

	(void)dwfl;
	for (size_t done = 0; done < sizeof(*result);) {
		uint64_t at = addr + done, page = at & ~(uint64_t)(sizeof(u->page_bytes) - 1);
		if ((u->page != page || u->page_len == 0) && !fill_page(u, page))
			return false;
		size_t from = at - page, n = sizeof(*result) - done;
		if (from >= u->page_len)
			return false;
		if (n > u->page_len - from)
			n = u->page_len - from;
		memcpy(to + done, u->page_bytes + from, n);
		done += n;
	}
	return true;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
    .next_thread = next_thread,
    .get_thread = get_thread,
    .memory_read = read_memory,
    .set_initial_registers = set_registers,
};

/* For find_elf, which is told nothing else: a worker looks at one process. */
static pid_t examined;

/* A program that was rebuilt while it runs: the file it was started from is
 * still to be had, if not by its name. */
static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
    char **file_name, Elf **elfp)
{
	char link[64], path[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)examined);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		int fd = strcmp(path, name) ? -1 : open(link, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			*file_name = strdup(name);
			return fd;
		}
	}
	return dwfl_linux_proc_find_elf(mod, userdata, name, base, file_name, elfp);
}

int unwind_open(struct unwind *u, const struct stop *stop, int64_t deadline_ms)
{
	static char *debuginfo_path;
	static const Dwfl_Callbacks callbacks = {
	    .find_elf = find_elf,
	    .find_debuginfo = dwfl_standard_find_debuginfo,
	    .debuginfo_path = &debuginfo_path,
	};

	examined = stop->pid;
	*u = (struct unwind){.stop = stop, .deadline = deadline_ms};
	u->dwfl = dwfl_begin(&callbacks);
	if (!u->dwfl)
		return -ENOMEM;
	int r = dwfl_linux_proc_report(u->dwfl, stop->pid);
	if (r != 0)
		return r > 0 ? -r : -EIO;
	if (dwfl_report_end(u->dwfl, NULL, NULL) != 0 ||
	    !dwfl_attach_state(u->dwfl, NULL, stop->pid, &thread_callbacks, u))
		return -EIO;
	return 0;
}

void unwind_close(struct unwind *u)
{
	if (u->dwfl)
		dwfl_end(u->dwfl);
	free(u->threads);
}

/* --- the frames ------------------------------------------------------------- */

struct walk {
	struct unwind *unwind;
	struct unwound_thread *thread;
};

static int take_frame(Dwfl_Frame *frame, void *arg)
{
	struct walk *w = arg;
	struct unwound_thread *t = w->thread;
	struct unwound_frame f;

	if (!dwfl_frame_pc(frame, &f.pc, &f.exact)) {
		t->error = dwfl_errmsg(-1);
		return DWARF_CB_ABORT;
	}
	if (f.pc == 0) /* the end, where nobody returns to */
		return DWARF_CB_ABORT;
	size_t n = t->count++;
	t->frames[n < UNWIND_TOP ? n : UNWIND_TOP + (n - UNWIND_TOP) % UNWIND_BOTTOM] = f;
	if (t->count == UNWIND_MAX) {
		t->error = "it has no end";
		return DWARF_CB_ABORT;
	}
	if (t->count % 1024 == 0 && deadline_left(w->unwind->deadline) == 0) {
		t->error = "out of time";
		return DWARF_CB_ABORT;
	}
	return DWARF_CB_OK;
}

static void walk_thread(struct unwind *u, struct unwound_thread *t, const struct stopped_thread *s)
{
	struct walk w = {.unwind = u, .thread = t};

	t->tid = s->tid;
	t->guessed = !s->stopped;
	if (deadline_left(u->deadline) == 0) {
		t->error = "out of time";
		return;
	}
	int r = dwfl_getthread_frames(u->dwfl, s->tid, take_frame, &w);
	/* An error after some frames is how many stacks end: no unwind
	 * information for what started the thread. */
	if (r < 0 && t->count == 0 && !t->error)
		t->error = s->stopped ? dwfl_errmsg(-1) : "it does not stop";
}

int unwind_threads(struct unwind *u)
{
	u->threads = calloc(u->stop->count, sizeof(*u->threads));
	if (!u->threads)
		return -ENOMEM;
	u->count = u->stop->count;
	for (size_t i = 0; i < u->count; i++)
		walk_thread(u, &u->threads[i], &u->stop->threads[i]);
	return 0;
}

size_t unwind_kept(const struct unwound_thread *t)
{
	return t->count < UNWIND_TOP + UNWIND_BOTTOM ? t->count : UNWIND_TOP + UNWIND_BOTTOM;
}

const struct unwound_frame *unwind_frame(const struct unwound_thread *t, size_t n, size_t *number)
{
	*number = n < UNWIND_TOP ? n : t->count - unwind_kept(t) + n;
	if (n < UNWIND_TOP)
		return &t->frames[n];
	return &t->frames[UNWIND_TOP + (*number - UNWIND_TOP) % UNWIND_BOTTOM];
}
