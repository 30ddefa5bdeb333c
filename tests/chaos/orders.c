#include "orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "board.h"

#define IDS  (1u << 16)
#define PIDS (1u << 16)

#define AWAIT_MS 2000

static struct {
	uint64_t noted[IDS]; /* the id, and below it what was ordered */
	int cancels[PIDS];
	int given;
	uint64_t skips_begun, skips_ended, stage;
} * orders;

void orders_init(void)
{
	orders =
	    mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (orders == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
}

static unsigned noted(uint64_t id)
{
	uint64_t is = __atomic_load_n(&orders->noted[id % IDS], __ATOMIC_SEQ_CST);

	return is >> 8 == id ? is & 0xff : 0;
}

static void note(uint64_t id, unsigned what)
{
	__atomic_store_n(&orders->noted[id % IDS], id << 8 | what, __ATOMIC_SEQ_CST);
}

void order_note(uint64_t id, enum order what)
{
	note(id, noted(id) | what);
}

void order_take_back(uint64_t id, enum order what)
{
	note(id, noted(id) & ~(unsigned)what);
}

bool order_is_noted(uint64_t id, enum order what)
{
	return noted(id) & what;
}

void order_begin(void)
{
	__atomic_store_n(&orders->given, 1, __ATOMIC_SEQ_CST);
}

void order_end(void)
{
	__atomic_store_n(&orders->given, 0, __ATOMIC_SEQ_CST);
}

void order_await(void)
{
	int64_t end = board_ms() + AWAIT_MS;

	while (__atomic_load_n(&orders->given, __ATOMIC_SEQ_CST) && board_ms() < end)
		usleep(1000);
}

void orders_note_stage(void)
{
	__atomic_fetch_add(&orders->stage, 1, __ATOMIC_SEQ_CST);
}

uint64_t orders_stage(void)
{
	return __atomic_load_n(&orders->stage, __ATOMIC_SEQ_CST);
}

/* --- cancels ------------------------------------------------------------------ */

void order_note_cancel(pid_t pid)
{
	__atomic_fetch_add(&orders->cancels[(unsigned)pid % PIDS], 1, __ATOMIC_SEQ_CST);
}

void order_take_back_cancel(pid_t pid)
{
	__atomic_fetch_sub(&orders->cancels[(unsigned)pid % PIDS], 1, __ATOMIC_SEQ_CST);
}

void order_begin_skip(void)
{
	__atomic_fetch_add(&orders->skips_begun, 1, __ATOMIC_SEQ_CST);
}

void order_end_skip(void)
{
	__atomic_store_n(&orders->skips_ended, orders->skips_begun, __ATOMIC_SEQ_CST);
}

uint64_t orders_skips(void)
{
	return __atomic_load_n(&orders->skips_ended, __ATOMIC_SEQ_CST);
}

bool orders_explain_cancel(uint64_t skips_before)
{
	return __atomic_load_n(&orders->skips_begun, __ATOMIC_SEQ_CST) != skips_before ||
	       __atomic_load_n(&orders->cancels[(unsigned)getpid() % PIDS], __ATOMIC_SEQ_CST) > 0;
}
