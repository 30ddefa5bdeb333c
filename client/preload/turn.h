/*
 * One crash at a time in a process, and the memory that its handling works with: the crashed
 * thread's stack may be small and the heap in ruins.
 */
#ifndef PRELOAD_TURN_H
#define PRELOAD_TURN_H

#include <stdint.h>
#include <sys/types.h>

struct turn {
	_Atomic uint64_t owner; /* pid << 32 | tid; 0 = nobody */
	_Atomic uint32_t left;	/* counts the ends of turns: what the next thread waits on */
	char middle_stack[16 << 10] __attribute__((aligned(16)));
	char helper_stack[16 << 10] __attribute__((aligned(16)));
	char text[4 << 10] __attribute__((aligned(16)));
};

enum turn_result {
	TURN_MINE,   /* *turnp is ours until turn_leave() */
	TURN_NESTED, /* this thread has crashed while it handled a crash */
	TURN_NONE,   /* the room is in another process's use, which shares our memory */
};

/* Take the turn, or wait for it while another thread of this process has it. */
enum turn_result turn_take(pid_t pid, pid_t tid, struct turn **turnp);
void turn_leave(struct turn *turn);

#endif
