/*
 * Whose crash is being handled. The owner is written down with its pid: a vfork child shares this
 * memory with its parent, and the crash of the one must not look like a crash of the other. Each
 * pid has its fixed place, so two threads cannot both find one.
 */
#include "solo.h"

#include "kernel.h"

enum { PLACES = 4 };

static struct solo solos[PLACES];

enum solo_result solo_take(pid_t pid, pid_t tid, struct solo **solop)
{
	struct solo *solo = &solos[pid % PLACES];
	uint64_t me = (uint64_t)pid << 32 | (uint32_t)tid;

	for (;;) {
		uint32_t left = solo->left;
		uint64_t owner = 0;

		if (atomic_compare_exchange_strong(&solo->owner, &owner, me)) {
			*solop = solo;
			return SOLO_MINE;
		}
		if (owner == me)
			return SOLO_NESTED;
		if ((pid_t)(owner >> 32) != pid)
			return SOLO_NONE;
		kernel_futex_wait(&solo->left, left, -1);
	}
}

void solo_leave(struct solo *solo)
{
	solo->owner = 0;
	solo->left++;
	kernel_futex_wake(&solo->left);
}
