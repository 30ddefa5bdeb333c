/* libttylock: take turns at a terminal.
 *
 * Several processes that want the same terminal ask ttylockd for it and get it
 * one at a time, first come, first served. A handle is one connection to the
 * daemon about one terminal; requests on it are named by ids.
 *
 * Every function returns 0 (or what its comment says) or a negative errno; the
 * codes of each are listed with it. Times are milliseconds; a timeout of -1
 * waits for ever. Nothing here prints, exits, or installs a signal handler, but
 * where it says so.
 *
 * Any thread may use any handle; only ttylock_close() must be the last call with
 * it. All handles of a process share one connection to a daemon. A child of
 * fork() has no part in its parent's requests: with its parent's handles every
 * function returns -ECONNRESET (or -ENOENT), but ttylock_close(), which frees
 * the child's copy alone; it opens handles of its own.
 *
 * A daemon that dies is followed by another: the library connects to it, and
 * requests go on as if nothing had been. That is done in its calls, and by
 * ttylock_dispatch() when ttylock_fd() is readable; no thread is made for it. Only
 * when no daemon answers for ten seconds of trying are they lost.
 */
#ifndef TTYLOCK_H
#define TTYLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ttylock;

enum ttylock_reason {
	TTYLOCK_BREAKPOINT = 1,
	TTYLOCK_CRASH = 2,
	TTYLOCK_COMMAND = 3,
};

enum ttylock_state {
	TTYLOCK_QUEUED = 1,
	TTYLOCK_GRANTED = 2,
	TTYLOCK_RELEASED = 3,  /* ended by us, freed by force, or unknown to a new daemon */
	TTYLOCK_CANCELLED = 4, /* left the queue */
	TTYLOCK_REFUSED = 5,
	TTYLOCK_LOST = 6, /* the daemon is gone, and none comes back */
};

/* What asks, and why. Zero-initialise; every field has a default. */
struct ttylock_wish {
	const char *task_name;	    /* NULL: the calling thread's name; at most 63 bytes */
	uint64_t task_id;	    /* 0: the calling thread's id */
	enum ttylock_reason reason; /* 0: TTYLOCK_COMMAND */
	const char *text;	    /* one line for people, cut at 255 bytes; NULL: none */
	pid_t subject;		    /* the process that it is for; 0: the caller */
	bool nonblock;		    /* refuse (-EBUSY) rather than wait */
	/* A shield against Ctrl-C from before the request is made until it ends, see
	 * ttylock_shield(). redraw, if any, is called with redraw_arg by the signal
	 * handler after a Ctrl-C was kept back from the holder: it may only do what
	 * a signal handler may, and must return. */
	bool shield;
	void (*redraw)(void *arg);
	void *redraw_arg;
};

/* One request as others see it; ids and texts are the daemon's. For requests
 * that the caller may not see in detail (another user's), `hidden` is true and
 * only terminal and position are set. */
struct ttylock_entry {
	uint64_t id;
	pid_t pid;
	uid_t uid;
	const char *comm;
	const char *task_name;
	uint64_t task_id;
	enum ttylock_reason reason;
	const char *text;
	pid_t subject;
	const char *subject_comm;
	uint32_t position; /* 0: holds the terminal; n: n-th in its queue */
	uint64_t age_ms;
	uint64_t tree;
	const char *terminal; /* a path, such as /dev/pts/3 */
	bool hidden;
};

/* The state of one of the caller's own requests. */
struct ttylock_status {
	enum ttylock_state state;
	int error;	   /* when REFUSED: the negative errno that acquire would return */
	uint64_t id;	   /* the daemon's id, which `ttylock status` shows */
	uint32_t position; /* when QUEUED, at the time of asking */
	uint32_t waiters;  /* how many waited at the time of the last change */
	pid_t holder_pid;  /* when QUEUED or refused as busy: who holds it (0: hidden) */
	char holder_comm[32];
	char holder_text[256];
};

/* Start a daemon for this user where none answers. */
#define TTYLOCK_START 0x1u

/* Opens a handle for the terminal of the descriptor tty, which must be open
 * for reading and writing and is duplicated. tty -1: the controlling one,
 * else the one that $TTYLOCK_TTY names; TTYLOCK_NO_TERMINAL: none, for
 * ttylock_list() alone. The daemon is looked for at $TTYLOCK_SOCKET alone if
 * that is set, else at the system's socket, then the user's; while a daemon that
 * was started for the user knows anybody, at the user's alone.
 *
 * -ENOTTY: no terminal; -EACCES: it is not open for both, or the daemon
 * refuses it, or the socket may not be used; -ENOENT: no daemon (and not
 * TTYLOCK_START); -EPROTONOSUPPORT: a daemon of another protocol version;
 * -EPERM: the listener is neither ours nor root's; -EPROTO: what listens there
 * speaks something else; -ETIMEDOUT: no answer in five seconds; -EUSERS: too
 * many connections; -ECONNRESET: the daemon of the process's other handles is gone, or
 * has not read for two seconds, with its socket full; -EINTR: a signal was handled
 * meanwhile; -ECHILD: the daemon that was started ended at once; -EHOSTDOWN: a service is
 * stopped that alone knows who has a terminal; -ENOMEM, and what socket(2), connect(2)
 * and other system calls on a descriptor return. */
#define TTYLOCK_NO_TERMINAL (-2)
int ttylock_open(struct ttylock **outp, int tty, unsigned flags);

/* Closes a handle; its requests end with it. NULL is fine. */
void ttylock_close(struct ttylock *t);

/* Asks and waits for the turn. Returns 0 when granted. *idp is set,
 * atomically, as soon as the request is made, so that another thread can
 * ttylock_cancel() it.
 * -EDEADLK: this task holds or waits for this terminal already; -EBUSY:
 * nonblock, and somebody holds it; -ETIMEDOUT; -EINTR: a signal was handled
 * meanwhile; -ECANCELED: somebody cancelled the request; -ECONNRESET: no
 * daemon comes back; -EACCES, -EUSERS, -EINVAL: refused; -ENOMEM, -EMFILE, -ENFILE;
 * with a shield, as ttylock_shield(). In each of these cases nothing is held and
 * nothing waits. */
int ttylock_acquire(
    struct ttylock *t, const struct ttylock_wish *wish, int timeout_ms, uint64_t *idp);

/* Asks without waiting: sets *idp at once; ttylock_dispatch() brings news.
 * -EINVAL: a field out of range; -ECONNRESET; -ENOMEM; with a shield, as
 * ttylock_shield(). */
int ttylock_acquire_async(struct ttylock *t, const struct ttylock_wish *wish, uint64_t *idp);

/* Makes one ttylock_acquire() that waits with this handle, or the next one that
 * would, return -EINTR. May be called by a signal handler. */
void ttylock_interrupt(struct ttylock *t);

/* Keeps Ctrl-C (SIGINT) from doing harm until ttylock_unshield(): while this
 * process or a living other has the terminal, it is kept back; one line on the
 * terminal says so and who has it. While nobody has it, or no daemon answers,
 * requests that wait behind a shield are taken back (their ttylock_acquire()
 * returns -ECANCELED) and the signal goes on to the handler that was there
 * before the first shield. So does every third one within two seconds. A system
 * call that a kept-back SIGINT interrupts still fails with EINTR where there was
 * a handler without SA_RESTART; ttylock_acquire() goes on waiting.
 * Shields are counted; the last one's end puts the earlier handler back, unless
 * somebody else has installed another meanwhile.
 * -EUSERS: more than 64; -EALREADY: this handle has one; -ENOTTY: it has no
 * terminal; -ECONNRESET; as ttylock_open(). */
int ttylock_shield(struct ttylock *t);
/* -ENOENT: it has none. */
int ttylock_unshield(struct ttylock *t);

/* The descriptor to poll for reading before ttylock_dispatch(); -1: no daemon
 * comes back. It belongs to the handle. */
int ttylock_fd(struct ttylock *t);

/* Takes in what the daemon sent, waiting up to timeout_ms for the first of it.
 * Returns 1 when something came, 0 when nothing did; -EINTR; -ECONNRESET: no
 * daemon comes back, and all requests of the handle are TTYLOCK_LOST; -EPROTO; -ENOMEM. */
int ttylock_dispatch(struct ttylock *t, int timeout_ms);

/* The state of a request as far as it is known. -ENOENT: no such id. */
int ttylock_get_status(struct ttylock *t, uint64_t id, struct ttylock_status *out);

/* Gives the terminal back and forgets the id. Never waits for an answer of the
 * daemon; one that has not even read for two seconds, with its socket full,
 * is taken for gone. Where there is none, waits up to two seconds for the next one.
 * -ENOENT: no such id; -ECONNRESET: there is none (the id is forgotten; the next one
 * is told at the next call with any handle). */
int ttylock_release(struct ttylock *t, uint64_t id);

/* Takes a request back, whatever its state, and forgets the id. Waits for nothing.
 * -ENOENT, -ECONNRESET as above. */
int ttylock_cancel(struct ttylock *t, uint64_t id);

/* For a process that talks to the person itself (an interpreter, a menu) while
 * it holds the terminal: makes it the foreground, in a process group of its own
 * so that the keys reach nobody else, with line settings fit for typing, and
 * keeps everybody else of the tree from reading. ttylock_give_terminal(), or the
 * end of the request, puts everything back as it was. Ctrl-Z is off meanwhile.
 * Once its request is not granted any more (released by force), it has a second to
 * do so: whoever is served next ends its process group if it stays in front. Where
 * the daemon is being replaced, taking waits up to two seconds for the next one.
 * -ENOENT: id is not granted; -EALREADY: taken; -EIO: a shell has this process's
 * job in the background, or the terminal cannot be taken; -ENOMEM. */
int ttylock_take_terminal(struct ttylock *t, uint64_t id);
/* -ENOENT: not taken. */
int ttylock_give_terminal(struct ttylock *t);

/* The handle's descriptor of the terminal, for reading and writing; -1: none. */
int ttylock_terminal(const struct ttylock *t);

/* Calls fn for every request the daemon knows: terminal by terminal, holders
 * before their waiters, all from one moment. A non-zero return of fn ends it
 * and is returned. -ETIMEDOUT, -EINTR, -ECONNRESET, -EPROTO, and as
 * ttylock_open(). */
int ttylock_list(struct ttylock *t, int timeout_ms,
    int (*fn)(const struct ttylock_entry *entry, void *arg), void *arg);

/* Waits until nobody holds or waits for a terminal for this process or one below
 * it: before a parent reaps, times out or restarts its children, so that it does
 * not kill one under a person's hands. A terminal on its way from one to the
 * next counts as held. "Below" is as it was when the request was made. Returns 0
 * also where no daemon runs. -ETIMEDOUT (always where timeout_ms is 0, for asking
 * takes time), -EINTR, and as ttylock_open(). */
int ttylock_wait_idle(int timeout_ms);

/* Whether the process is in a debugger, or waits to be: 1, 0, or as
 * ttylock_wait_idle(). Cheap: one question to the daemon. */
int ttylock_in_debug(pid_t pid);

/* A breakpoint in the program's text: ttylock_breakpoint(); or, with a line for
 * people, ttylock_breakpoint("no more orders"); It waits for the turn of this
 * thread at the terminal; then the debugger shows the thread stopped at the
 * caller's line, under the banner
 *	ttylock: breakpoint: NAME (pid N): FILE:LINE: TEXT; nobody else waits
 * Other threads run on while it waits. It returns when the debugger detaches or
 * quits; gdb does so at "continue", unless the person has set breakpoints there.
 * A debugger that is there already gets it at once, with no turn and no banner.
 * No terminal, no daemon, no debugger: one line on standard error says why, and
 * the program goes on. It must not be in the debugger's way: nothing is left
 * behind in the process but, where Yama restricts debuggers, the permission to
 * trace it. The handler of SIGTRAP is another one while a thread has the
 * debugger called and until it has passed the line: should the debugger be
 * killed there, the program goes on.
 * Any thread may call it; a signal handler may after a first breakpoint or
 * ttylock_crash_handler_install(). A set-user-ID program gets no debugger. */
#define ttylock_breakpoint(...)                                                                    \
	do {                                                                                       \
		if (ttylock_breakpoint_begin(__FILE__, __LINE__, TTYLOCK_TEXT_(__VA_ARGS__))) {    \
			TTYLOCK_TRAP_;                                                             \
			ttylock_breakpoint_end();                                                  \
		}                                                                                  \
	} while (0)

/* As assert(3), but a breakpoint first, with the expression for its text. When
 * the person lets it go on it prints assert's line and aborts; that abort has no
 * crash session of its own, the person having just had one. With NDEBUG defined
 * it is nothing, and the expression is not evaluated. */
#ifdef NDEBUG
#define ttylock_assert(expression) ((void)0)
#else
#define ttylock_assert(expression)                                                                 \
	__extension__({                                                                            \
		if (expression)                                                                    \
			; /* empty, so that an assignment is warned of */                          \
		else {                                                                             \
			if (ttylock_breakpoint_begin(__FILE__, __LINE__, #expression))             \
				TTYLOCK_TRAP_;                                                     \
			ttylock_assert_failed(#expression, __FILE__, __LINE__, __func__);          \
		}                                                                                  \
	})
#endif

/* Crash handling for a program that links this library and was not started by
 * `ttylock run`: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and SIGTRAP have the
 * process stand still, wait for its turn at the terminal and get the debugger at
 * the fault; then it ends as it would have. Where `ttylock run` has seen to that
 * already, and after the first call, there is nothing to do. Signals that are
 * ignored stay so. The calling thread gets an alternate signal stack, if it has
 * none. Where the program has a handler of its own before this, each crash gets
 * the debugger first and goes to that handler afterwards, which may leave by
 * siglongjmp(3); one that returns from a fault has mended it, and has that signal
 * to itself from then on. One that is installed later replaces ours. With "off"
 * for TTYLOCK_CRASH in the environment, somebody above has turned crash handling
 * off: nothing happens then.
 * -ENOENT: no ttylock command beside the library, in ../bin, /usr/local/bin or
 * /usr/bin ($TTYLOCK_HELPER names another one by its absolute path); -EPERM: a
 * set-user-ID program; -ENOMEM, -EAGAIN. */
int ttylock_crash_handler_install(void);

/* An alternate signal stack for the calling thread, if it has none, until its
 * end: for threads other than the one that called install, without it a stack
 * overflow ends the process as before. -ENOMEM, -EAGAIN. */
int ttylock_crash_handler_thread(void);

/* Turns crash handling on or off for this process and for those that it starts
 * from now on: by fork, and by exec through TTYLOCK_CRASH in the environment
 * (setenv(3): not while another thread uses the environment). Off puts back the
 * handlers that were there before; one that was installed since stays. Also for
 * what `ttylock run` has turned on. As ttylock_crash_handler_install(), but for
 * the environment's "off". */
int ttylock_crash_handler_set(bool on);

/* A stack dump on SIGUSR1, for a program that links this library and was not
 * started by `ttylock run`: functions, source lines, modules and offsets of all
 * threads, and what the process holds or waits for, to the terminal (standard
 * error where there is none) and into stack-PID.txt beside the daemon's socket.
 * The handler starts `ttylock dump`, which looks from outside, and returns; the
 * program goes on, with system calls restarted as by SA_RESTART. Signals that
 * come while a dump is being made are one with it. Where Yama restricts
 * debuggers, that one process becomes the program's permitted tracer.
 * -EBUSY: the program handles or ignores SIGUSR1, and that stays so (a handler
 * that it installs later wins too); as ttylock_crash_handler_install(). */
int ttylock_stack_dump_install(void);

/* What the macros above are made of. */
#if defined(__x86_64__) || defined(__i386__)
#define TTYLOCK_TRAP_ __asm__ volatile("int3")
#elif defined(__aarch64__)
#define TTYLOCK_TRAP_ __asm__ volatile("brk #0xf000")
#else
#include <signal.h>
#define TTYLOCK_TRAP_ raise(SIGTRAP)
#endif

/* 1: the caller has to trap, and to call the other one then. */
int ttylock_breakpoint_begin(const char *file, int line, const char *text);
void ttylock_breakpoint_end(void);
__attribute__((__noreturn__)) void ttylock_assert_failed(
    const char *expression, const char *file, int line, const char *function);

#ifdef __cplusplus
}
inline const char *ttylock_text_(const char *text = 0)
{
	return text;
}
#define TTYLOCK_TEXT_(...) ttylock_text_(__VA_ARGS__)
#else
/* Nothing becomes NULL. */
#define TTYLOCK_TEXT_(...) (__extension__((const char *const[1]){__VA_ARGS__}))[0]
#endif
#endif
