/* One crash at a time in a process. */
#ifndef CRASH_SOLO_H
#define CRASH_SOLO_H

#include "room.h"

#include <stdint.h>
#include <sys/types.h>

struct solo {
	_Atomic uint64_t owner; /* pid << 32 | tid; 0 = nobody */
	_Atomic uint32_t left;	/* counts their ends: what the next thread waits on */
	struct room room;
};

enum solo_result {
	SOLO_MINE,   /* *solop is ours until solo_leave() */
	SOLO_NESTED, /* this thread has crashed while it handled a crash */
	SOLO_NONE,   /* the room is in another process's use, which shares our memory */
};

/* Take it, or wait while another thread of this process has it. */
enum solo_result solo_take(pid_t pid, pid_t tid, struct solo **solop);
void solo_leave(struct solo *solo);

#endif
