/*
 * Whose crash is being handled. The owner is written down with its pid: a vfork child shares this
 * memory with its parent, and the crash of the one must not look like a crash of the other. Each
 * pid has its fixed place, so two threads cannot both find one.
 */
#include "turn.h"

#include "kernel.h"

enum { PLACES = 4 };

static struct turn turns[PLACES];

enum turn_result turn_take(pid_t pid, pid_t tid, struct turn **turnp)
{
	struct turn *turn = &turns[pid % PLACES];
	uint64_t me = (uint64_t)pid << 32 | (uint32_t)tid;

	for (;;) {
		uint32_t left = turn->left;
		uint64_t owner = 0;

		if (atomic_compare_exchange_strong(&turn->owner, &owner, me)) {
			*turnp = turn;
			return TURN_MINE;
		}
		if (owner == me)
			return TURN_NESTED;
		if ((pid_t)(owner >> 32) != pid)
			return TURN_NONE;
		kernel_futex_wait(&turn->left, left, -1);
	}
}

void turn_leave(struct turn *turn)
{
	turn->owner = 0;
	turn->left++;
	kernel_futex_wake(&turn->left);
}
