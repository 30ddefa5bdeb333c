/* The memory that one handling works with: the thread's stack may be small and the heap in ruins.
 */
#ifndef CRASH_ROOM_H
#define CRASH_ROOM_H

struct room {
	char middle_stack[16 << 10] __attribute__((aligned(16)));
	char helper_stack[16 << 10] __attribute__((aligned(16)));
	char text[4 << 10] __attribute__((aligned(16)));
};

#endif
