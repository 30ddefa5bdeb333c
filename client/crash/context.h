/* What a signal's frame says about the code that it interrupted. */
#ifndef CRASH_CONTEXT_H
#define CRASH_CONTEXT_H

#include <stdint.h>
#include <ucontext.h>

/*
 * The frame that a handler was called with, or NULL: an old-style handler that calls ours by its
 * remembered address leaves garbage in its place. A real one is on the stack that we run on.
 */
static inline ucontext_t *context_of(void *given)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return (uintptr_t)given - here < (16 << 10) ? given : NULL;
}

static inline uintptr_t context_pc(const ucontext_t *frame)
{
#ifdef __x86_64__
	return (uintptr_t)frame->uc_mcontext.gregs[REG_RIP];
#else
	return (uintptr_t)frame->uc_mcontext.pc;
#endif
}

#endif
