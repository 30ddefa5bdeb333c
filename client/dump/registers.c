#include "registers.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "task.h"

static bool get(pid_t tid, struct user_regs_struct *regs)
{
	struct iovec iov = {.iov_base = regs, .iov_len = sizeof(*regs)};

	return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &iov) == 0 &&
	       iov.iov_len == sizeof(*regs);
}

#if defined(__x86_64__)

bool registers_of_stopped(Dwfl_Thread *thread, pid_t tid)
{
	struct user_regs_struct r;

	if (!get(tid, &r))
		return false;
	Dwarf_Word dwarf[] = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9,
	    r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip};
	return dwfl_thread_state_registers(thread, 0, sizeof(dwarf) / sizeof(*dwarf), dwarf);
}

bool registers_of_sleeping(Dwfl_Thread *thread, pid_t tid)
{
	struct task_syscall s;

	if (!task_syscall(tid, &s))
		return false;
	/* The arguments are rdi, rsi, rdx, r10, r8, r9; vfork() keeps its return
	 * address in the first. */
	Dwarf_Word rdx = s.args[2], rsi_rdi[] = {s.args[1], s.args[0]};
	Dwarf_Word rsp_r8_r9_r10[] = {s.sp, s.args[4], s.args[5], s.args[3]};
	return dwfl_thread_state_registers(thread, 1, 1, &rdx) &&
	       dwfl_thread_state_registers(thread, 4, 2, rsi_rdi) &&
	       dwfl_thread_state_registers(thread, 7, 4, rsp_r8_r9_r10) &&
	       dwfl_thread_state_registers(thread, 16, 1, &s.pc);
}

/* Waits that EINTR leaves as if they had not been begun. */
static bool may_restart(unsigned long long number)
{
	switch (number) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_read: /* and these on a socket with SO_RCVTIMEO */
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_accept:
	case SYS_accept4:
		return true;
	default:
		return false;
	}
}

void registers_restart(pid_t tid)
{
	struct user_regs_struct r;
	struct iovec iov = {.iov_base = &r, .iov_len = sizeof(r)};

	if (!get(tid, &r) || (long long)r.rax != -EINTR || !may_restart(r.orig_rax))
		return;
	/* As the kernel does for those that it restarts itself: the instruction
	 * `syscall` has two bytes. */
	r.rax = r.orig_rax;
	r.rip -= 2;
	ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov);
}

#elif defined(__aarch64__)

bool registers_of_stopped(Dwfl_Thread *thread, pid_t tid)
{
	struct user_regs_struct r;
	Dwarf_Word dwarf[32];

	if (!get(tid, &r))
		return false;
	for (int i = 0; i < 31; i++)
		dwarf[i] = r.regs[i];
	dwarf[31] = r.sp;
	dwfl_thread_state_register_pc(thread, r.pc);
	return dwfl_thread_state_registers(thread, 0, 32, dwarf);
}

bool registers_of_sleeping(Dwfl_Thread *thread, pid_t tid)
{
	struct task_syscall s;

	if (!task_syscall(tid, &s))
		return false;
	Dwarf_Word sp = s.sp;
	dwfl_thread_state_register_pc(thread, s.pc);
	return dwfl_thread_state_registers(thread, 31, 1, &sp);
}

/* The first argument is lost once the call has returned. */
void registers_restart(pid_t tid)
{
	(void)tid;
}

#else
#error "no registers for this machine yet"
#endif
