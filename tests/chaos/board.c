#include "board.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "orders.h"
#include "parts.h"

#define NOTES	   4096
#define NOTE_SIZE  120
#define TENURES	   (1u << 16)
#define PF_EXITING 0x4

/* Somebody's time at a terminal: for telling whether who is said to be there lives. */
struct tenure {
	pid_t thread;
	unsigned long long began; /* when the thread did: numbers are used again */
	uint64_t id;
};

static struct whole {
	struct board board;
	/* Below, in the upper half, the one whose grant it is under; 0: nobody. */
	uint64_t at[BOARD_TERMINALS];
	uint64_t last_id[BOARD_TERMINALS];
	uint32_t last_tenure, last_note;
	struct tenure tenures[TENURES];
	char notes[NOTES][NOTE_SIZE];
} * whole;

struct board *board;

void board_init(uint64_t seed)
{
	whole =
	    mmap(NULL, sizeof(*whole), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (whole == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	board = &whole->board;
	board->seed = seed;
	orders_init();
	parts_init();
}

int64_t board_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* splitmix64 */
uint64_t board_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* --- notes ------------------------------------------------------------------ */

__attribute__((format(printf, 1, 0))) static void note(const char *format, va_list args)
{
	uint32_t n = __atomic_fetch_add(&whole->last_note, 1, __ATOMIC_RELAXED) % NOTES;
	char *line = whole->notes[n];
	pid_t pid = getpid(), thread = gettid();
	int used = snprintf(line, NOTE_SIZE, "%lld %d ", (long long)board_ms(), pid);

	if (thread != pid)
		used += snprintf(line + used, NOTE_SIZE - (size_t)used, "(thread %d) ", thread);
	vsnprintf(line + used, NOTE_SIZE - (size_t)used, format, args);
}

void board_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	note(format, args);
	va_end(args);
}

static bool is_note_of(const char *line, pid_t pid)
{
	int by;

	return sscanf(line, "%*d %d", &by) == 1 && by == pid;
}

void board_print_notes(unsigned count, pid_t of)
{
	uint32_t last = whole->last_note, first = last, oldest = last < NOTES ? 0 : last - NOTES;

	for (unsigned found = 0; first != oldest && found < count; first--)
		found += !of || is_note_of(whole->notes[(first - 1) % NOTES], of);
	for (uint32_t i = first; i != last; i++)
		if (!of || is_note_of(whole->notes[i % NOTES], of))
			printf("  %.*s\n", NOTE_SIZE, whole->notes[i % NOTES]);
}

void board_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (__atomic_fetch_add(&board->failed, 1, __ATOMIC_SEQ_CST) == 0) {
		const char *part = part_name(getpid());
		size_t size = sizeof(board->failure);
		int used = vsnprintf(board->failure, size, format, args);
		if (part && (size_t)used < size)
			snprintf(board->failure + used, size - (size_t)used, ", says %s", part);
		board->blamed = getpid();
	}
	va_end(args);
	va_start(args, format);
	note(format, args);
	va_end(args);
	_exit(1);
}

void board_blame(pid_t pid, const char *why)
{
	if (__atomic_fetch_add(&board->failed, 1, __ATOMIC_SEQ_CST) != 0)
		return;
	snprintf(board->failure, sizeof(board->failure), "%s", why);
	board->blamed = pid;
}

void board_count(enum board_count what)
{
	__atomic_fetch_add(&board->counts[what], 1, __ATOMIC_RELAXED);
}

void board_try(enum board_count what)
{
	__atomic_fetch_add(&board->tries[what], 1, __ATOMIC_RELAXED);
}

void board_state(struct slot *s, enum board_state state, int terminal)
{
	s->since = board_ms();
	s->terminal = terminal;
	__atomic_store_n(&s->state, (int)state, __ATOMIC_SEQ_CST);
}

/* --- who is at a terminal ----------------------------------------------------- */

/* Of a thread that lives: not a zombie, and not on its way there, where its
 * descriptors may be closed already. */
static bool began(pid_t thread, unsigned long long *out)
{
	char path[64], line[1024];
	unsigned flags;
	char state;

	snprintf(path, sizeof(path), "/proc/%d/stat", thread);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	size_t n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = '\0';
	const char *rest = strrchr(line, ')');
	return rest &&
	       sscanf(rest + 1,
		   " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u "
		   "%llu",
		   &state, &flags, out) == 3 &&
	       state != 'Z' && state != 'X' && !(flags & PF_EXITING);
}

bool board_lives(pid_t pid)
{
	unsigned long long when;

	return began(pid, &when);
}

static bool is_ousted(uint32_t mark)
{
	return order_is_noted(whole->tenures[mark % TENURES].id, ORDER_FORCE);
}

/* By right: it lives, and nobody has released it by force. */
static bool is_there(uint32_t mark)
{
	const struct tenure *t = &whole->tenures[mark % TENURES];
	unsigned long long when;

	return mark && began(t->thread, &when) && when == t->began && !is_ousted(mark);
}

static uint32_t new_mark(uint64_t id)
{
	uint32_t mark = 0;

	while (mark == 0)
		mark = __atomic_add_fetch(&whole->last_tenure, 1, __ATOMIC_SEQ_CST);
	struct tenure *t = &whole->tenures[mark % TENURES];
	*t = (struct tenure){.thread = gettid(), .id = id};
	began(t->thread, &t->began);
	return mark;
}

static pid_t thread_of(uint32_t mark)
{
	return mark ? whole->tenures[mark % TENURES].thread : 0;
}

/* What the terminal's word may be before the caller comes, and is to be then. */
static uint64_t successor(int terminal, uint64_t was, uint32_t mark, uint64_t under)
{
	uint32_t top = (uint32_t)was, below = (uint32_t)(was >> 32);

	if (under && (top == under || below == under) && (top == under || !is_there(top)))
		return under << 32 | mark;
	if ((is_there(top) || is_there(below)) && is_ousted(mark))
		return was; /* it was over before it heard that it had begun */
	if (is_there(top) || is_there(below))
		board_fail("terminal %d: two holders: %d came, and %d (below: %d) is there",
		    terminal, gettid(), thread_of(top), thread_of(below));
	return mark;
}

uint64_t board_enter(int terminal, uint64_t id, uint64_t under)
{
	uint32_t mark = new_mark(id);
	uint64_t *at = &whole->at[terminal], was = __atomic_load_n(at, __ATOMIC_SEQ_CST);

	while (!__atomic_compare_exchange_n(at, &was, successor(terminal, was, mark, under), false,
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	if (!under && !order_is_noted(id, ORDER_FIRST) && !order_is_noted(id, ORDER_FORCE)) {
		uint64_t last =
		    __atomic_exchange_n(&whole->last_id[terminal], id, __ATOMIC_SEQ_CST);
		if (id <= last)
			board_fail("terminal %d: request %llu is served after %llu", terminal,
			    (unsigned long long)id, (unsigned long long)last);
	}
	board_note("terminal %d: request %llu enters", terminal, (unsigned long long)id);
	board_count(under ? BOARD_NESTED : BOARD_GRANTS);
	return mark;
}

static uint64_t without(int terminal, uint64_t was, uint64_t mark)
{
	if ((uint32_t)was == mark)
		return was >> 32;
	if (was >> 32 == mark)
		return (uint32_t)was;
	if (is_ousted((uint32_t)mark))
		return was;
	board_fail(
	    "terminal %d: %d came while %d held", terminal, thread_of((uint32_t)was), gettid());
}

void board_leave(int terminal, uint64_t mark)
{
	uint64_t *at = &whole->at[terminal], was = __atomic_load_n(at, __ATOMIC_SEQ_CST);

	while (!__atomic_compare_exchange_n(
	    at, &was, without(terminal, was, mark), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	board_note("terminal %d: leaves", terminal);
}
