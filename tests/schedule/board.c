#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic(struct board *) in_use;
static int memory = -1;

/* --- the memory ------------------------------------------------------------ */

static struct board *map(int fd)
{
	void *at = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

struct board *board_new(char *path, size_t size)
{
	memory = memfd_create("board", MFD_CLOEXEC);
	if (memory < 0 || ftruncate(memory, sizeof(struct board)) < 0)
		return NULL;
	/* By path: then whoever is started, however deep below, can open it, and
	 * nobody needs to inherit a descriptor. */
	snprintf(path, size, "/proc/%d/fd/%d", (int)getpid(), memory);
	return map(memory);
}

struct board *board_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	struct board *b = map(fd);
	close(fd);
	return b;
}

void board_free(struct board *b)
{
	if (!b)
		return;
	munmap(b, sizeof(*b));
	close(memory);
}

void board_use(struct board *b)
{
	in_use = b;
}

/* --- waiting and waking ---------------------------------------------------- */

/* Not the private kind: the other side may be another process. */
static void futex_wait(_Atomic uint32_t *at, uint32_t seen, const struct timespec *left)
{
	syscall(SYS_futex, at, FUTEX_WAIT, seen, left, NULL, 0);
}

static void change(_Atomic uint32_t *at)
{
	(*at)++;
	syscall(SYS_futex, at, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void board_await(struct board *b, uint32_t seen, int64_t ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};

	futex_wait(&b->news, seen, &left);
}

void board_let(struct board_slot *s, uint32_t n)
{
	if (n > s->open)
		s->open = n;
	change(&s->bell);
}

uint32_t board_nudge(struct board_slot *s)
{
	uint32_t n = ++s->nudges;

	change(&s->bell);
	return n;
}

bool board_stands(struct board_slot *s)
{
	return s->tid != 0 && !s->ended && s->reached > s->open;
}

/* --- the actor's side ------------------------------------------------------ */

/* strcmp and strcpy may be a sanitizer's, which has no business in a handler. */
static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static void note(struct board_slot *s, const char *name)
{
	size_t i = 0;

	for (; name[i] && i < BOARD_NAME - 1; i++)
		atomic_store_explicit(&s->last[i], name[i], memory_order_relaxed);
	atomic_store_explicit(&s->last[i], '\0', memory_order_relaxed);
}

/* By thread id: thread-local memory is the parent's in a vfork child, and a
 * forked child is nobody until it is found. */
static struct board_slot *slot_of(struct board *b, const char *name)
{
	pid_t tid = syscall(SYS_gettid);

	for (uint32_t i = 0; i < b->n_slots; i++)
		if (b->slots[i].tid == tid)
			return &b->slots[i];
	for (uint32_t i = 0; i < b->n_slots; i++) {
		struct board_slot *s = &b->slots[i];
		pid_t nobody = 0;

		if (s->found && s->n_stops > 1 && same(s->stops[1], name) &&
		    atomic_compare_exchange_strong(&s->tid, &nobody, tid)) {
			s->pid = syscall(SYS_getpid);
			return s;
		}
	}
	return NULL;
}

/* Any system call would have the kernel deliver what is pending; this one has
 * ThreadSanitizer deliver what it has put off as well. */
static void take_signals(void)
{
	poll(NULL, 0, 0);
}

static void stand(struct board *b, struct board_slot *s, uint32_t stop)
{
	for (;;) {
		uint32_t bell = s->bell, nudges = s->nudges;

		if (s->answered != nudges) {
			take_signals();
			s->answered = nudges;
			change(&b->news);
		}
		if (s->open > stop || b->over)
			break;
		futex_wait(&s->bell, bell, NULL);
	}
	/* A signal sent to us here must strike here, not a few instructions on. */
	take_signals();
}

void board_point(const char *name)
{
	struct board *b = in_use;
	int saved = errno;
	struct board_slot *s = b && !b->over ? slot_of(b, name) : NULL;

	if (s) {
		uint32_t stop = s->reached;

		note(s, name);
		/* Again when a handler has come to a stop in between. */
		while (stop < s->n_stops && same(s->stops[stop], name)) {
			if (!atomic_compare_exchange_strong(&s->reached, &stop, stop + 1))
				continue;
			change(&b->news);
			stand(b, s, stop);
			break;
		}
	}
	errno = saved;
}

void board_begin(struct board *b, struct board_slot *s)
{
	s->pid = getpid();
	s->tid = syscall(SYS_gettid);
	s->reached = 1;
	change(&b->news);
	stand(b, s, 0);
}

void board_end(struct board *b, struct board_slot *s, int result)
{
	s->result = result;
	s->ended = true;
	change(&b->news);
}
