/* A program that does with the library what a test tells it to.
 *
 *     puppet SOCKET THREADS
 *
 * Each of its threads connects to the test's SOCKET, says who it is ("PID TID"),
 * and then does one command a line and answers each with one line. What a thread
 * of its own does can so be seen from outside while it waits: the test simply
 * has no answer yet. The commands stand in the table at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <ttylock.h>
#include <unistd.h>

#define HANDLES 10
#define THREADS 10

static struct ttylock *handles[HANDLES];
static uint64_t ids[THREADS]; /* atomic: what each thread asked for last */
static const char *socket_path;

struct line {
	int thread;
	FILE *out;
	char *word[8];
};

static void answer(struct line *l, int r)
{
	if (r < 0)
		fprintf(l->out, "%s\n", strerrorname_np(-r));
	else
		fprintf(l->out, "%d\n", r);
}

/* --- handlers of the host -------------------------------------------------- */

static struct {
	int calls, others, redraws, alarms;
	int pid, code, on_stack;
} seen; /* atomic */

static char stack[64 * 1024];

static void add(int *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_SEQ_CST);
}

static void plain(int sig)
{
	char here;

	(void)sig;
	__atomic_store_n(
	    &seen.on_stack, &here >= stack && &here < stack + sizeof(stack), __ATOMIC_SEQ_CST);
	add(&seen.calls);
}

static void with_info(int sig, siginfo_t *info, void *context)
{
	__atomic_store_n(&seen.pid, info->si_pid, __ATOMIC_SEQ_CST);
	__atomic_store_n(&seen.code, info->si_code, __ATOMIC_SEQ_CST);
	if (context)
		plain(sig);
}

static void other(int sig)
{
	(void)sig;
	add(&seen.others);
}

static void on_alarm(int sig)
{
	(void)sig;
	add(&seen.alarms);
}

static void redraw(void *arg)
{
	add(arg);
}

static void set_handler(struct line *l)
{
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_handler = plain};
	const char *kind = l->word[1];

	sigaddset(&sa.sa_mask, SIGUSR2);
	if (!strcmp(kind, "info")) {
		sa.sa_sigaction = with_info;
		sa.sa_flags = SA_SIGINFO;
	} else if (!strcmp(kind, "stack")) {
		sigaltstack(&ss, NULL);
		sa.sa_flags = SA_ONSTACK | SA_RESTART;
	} else if (!strcmp(kind, "once")) {
		sa.sa_flags = SA_RESETHAND;
	} else if (!strcmp(kind, "ignore")) {
		sa.sa_handler = SIG_IGN;
	} else if (!strcmp(kind, "default")) {
		sa.sa_handler = SIG_DFL;
	} else if (!strcmp(kind, "other")) {
		sa.sa_handler = other;
	}
	sigaction(SIGINT, &sa, NULL);
	fputs("ok\n", l->out);
}

/* As a host does that puts another handler there for a while. */
static struct sigaction kept;

static void keep(struct line *l)
{
	answer(l, sigaction(SIGINT, NULL, &kept));
}

static void put_back(struct line *l)
{
	answer(l, sigaction(SIGINT, &kept, NULL));
}

/* All that the kernel has of the action, whatever its layout. */
static void show_action(struct line *l)
{
	unsigned char raw[40] = "";

	syscall(SYS_rt_sigaction, SIGINT, NULL, raw, _NSIG / 8);
	for (size_t i = 0; i < sizeof(raw); i++)
		fprintf(l->out, "%02x", raw[i]);
	fputc('\n', l->out);
}

static void show_seen(struct line *l)
{
	fprintf(l->out, "calls=%d others=%d redraws=%d alarms=%d pid=%d code=%d on_stack=%d\n",
	    __atomic_load_n(&seen.calls, __ATOMIC_SEQ_CST),
	    __atomic_load_n(&seen.others, __ATOMIC_SEQ_CST),
	    __atomic_load_n(&seen.redraws, __ATOMIC_SEQ_CST),
	    __atomic_load_n(&seen.alarms, __ATOMIC_SEQ_CST),
	    __atomic_load_n(&seen.pid, __ATOMIC_SEQ_CST),
	    __atomic_load_n(&seen.code, __ATOMIC_SEQ_CST),
	    __atomic_load_n(&seen.on_stack, __ATOMIC_SEQ_CST));
}

static void mask(struct line *l)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(strcmp(l->word[1], "block") ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
	fputs("ok\n", l->out);
}

static int interrupted; /* atomic: the handle that SIGUSR1 interrupts */

static void on_usr1(int sig)
{
	(void)sig;
	ttylock_interrupt(handles[__atomic_load_n(&interrupted, __ATOMIC_SEQ_CST)]);
}

static void interrupt_by_signal(struct line *l)
{
	struct sigaction sa = {.sa_handler = on_usr1};

	__atomic_store_n(&interrupted, atoi(l->word[1]), __ATOMIC_SEQ_CST);
	sigaction(SIGUSR1, &sa, NULL);
	fputs("ok\n", l->out);
}

static void start_alarm(struct line *l)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	long us = (long)(atof(l->word[1]) * 1000);
	struct timeval tv = {us / 1000000, us % 1000000};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){tv, tv}, NULL);
	fputs("ok\n", l->out);
}

/* --- the library ----------------------------------------------------------- */

static struct ttylock *handle_of(const struct line *l)
{
	return handles[atoi(l->word[1]) % HANDLES];
}

static uint64_t id_of(const struct line *l)
{
	return strtoull(l->word[2], NULL, 10);
}

static void do_open(struct line *l)
{
	int tty = l->word[2] ? atoi(l->word[2]) : -1;

	answer(l, ttylock_open(&handles[atoi(l->word[1])], tty,
		      l->word[3] && !strcmp(l->word[3], "absent") ? 0 : TTYLOCK_START));
}

static void do_close(struct line *l)
{
	ttylock_close(handle_of(l));
	handles[atoi(l->word[1])] = NULL;
	answer(l, 0);
}

/* acquire HANDLE TIMEOUT FLAGS TEXT [TASK]; flags: s(hield) n(onblock) r(edraw) */
static struct ttylock_wish wish_of(const struct line *l)
{
	struct ttylock_wish wish = {.text = l->word[4], .redraw_arg = &seen.redraws};

	if (l->word[5])
		wish.task_name = l->word[5];
	wish.shield = strchr(l->word[3], 's') != NULL;
	wish.nonblock = strchr(l->word[3], 'n') != NULL;
	wish.redraw = strchr(l->word[3], 'r') ? redraw : NULL;
	return wish;
}

static void acquire(struct line *l)
{
	struct ttylock_wish wish = wish_of(l);
	uint64_t *id = &ids[l->thread];

	__atomic_store_n(id, 0, __ATOMIC_SEQ_CST);
	int r = ttylock_acquire(handle_of(l), &wish, atoi(l->word[2]), id);
	if (r < 0)
		fprintf(l->out, "%s\n", strerrorname_np(-r));
	else
		fprintf(l->out, "%llu\n", (unsigned long long)*id);
}

static void acquire_async(struct line *l)
{
	struct ttylock_wish wish = wish_of(l);

	int r = ttylock_acquire_async(handle_of(l), &wish, &ids[l->thread]);
	if (r < 0)
		fprintf(l->out, "%s\n", strerrorname_np(-r));
	else
		fprintf(l->out, "%llu\n", (unsigned long long)ids[l->thread]);
}

static void dispatch(struct line *l)
{
	answer(l, ttylock_dispatch(handle_of(l), atoi(l->word[2])));
}

static void get_status(struct line *l)
{
	struct ttylock_status s;

	int r = ttylock_get_status(handle_of(l), id_of(l), &s);
	answer(l, r < 0 ? r : (int)s.state);
}

static void asked(struct line *l)
{
	fprintf(l->out, "%llu\n",
	    (unsigned long long)__atomic_load_n(&ids[atoi(l->word[1])], __ATOMIC_SEQ_CST));
}

static void do_release(struct line *l)
{
	answer(l, ttylock_release(handle_of(l), id_of(l)));
}

static void do_cancel(struct line *l)
{
	answer(l, ttylock_cancel(handle_of(l), id_of(l)));
}

static void do_interrupt(struct line *l)
{
	ttylock_interrupt(handle_of(l));
	answer(l, 0);
}

static void do_shield(struct line *l)
{
	answer(l, ttylock_shield(handle_of(l)));
}

static void do_unshield(struct line *l)
{
	answer(l, ttylock_unshield(handle_of(l)));
}

static void take(struct line *l)
{
	answer(l, ttylock_take_terminal(handle_of(l), id_of(l)));
}

static void give(struct line *l)
{
	answer(l, ttylock_give_terminal(handle_of(l)));
}

static void wait_idle(struct line *l)
{
	answer(l, ttylock_wait_idle(atoi(l->word[1])));
}

static void in_debug(struct line *l)
{
	answer(l, ttylock_in_debug(atoi(l->word[1])));
}

/* turns HANDLE COUNT FLAGS: COUNT times acquire and release; what came of them. */
static void turns(struct line *l)
{
	int granted = 0, cancelled = 0, interrupted = 0, wrong = 0;
	struct ttylock_wish wish = {.shield = strchr(l->word[3], 's') != NULL};
	uint64_t id;

	for (int i = atoi(l->word[2]); i > 0; i--) {
		int r = ttylock_acquire(handle_of(l), &wish, 10000, &id);
		if (r == 0)
			granted += ttylock_release(handle_of(l), id) == 0;
		cancelled += r == -ECANCELED;
		interrupted += r == -EINTR;
		wrong += r < 0 && r != -ECANCELED && r != -EINTR;
	}
	fprintf(l->out, "granted=%d cancelled=%d interrupted=%d wrong=%d\n", granted, cancelled,
	    interrupted, wrong);
}

/* --- processes and the terminal -------------------------------------------- */

static void *serve(void *arg);

static void be_child(void)
{
	serve((void *)0);
	_exit(0);
}

static void do_fork(struct line *l)
{
	pid_t pid = fork();

	if (pid == 0)
		be_child();
	answer(l, pid);
}

/* The child of daemon(3) goes on; the parent ends in it. */
static void daemonise(struct line *l)
{
	(void)l;
	if (daemon(1, 1) == 0)
		be_child();
	_exit(1);
}

static void crash(struct line *l)
{
	(void)l;
	*(volatile int *)8 = 1;
}

static void run_other(struct line *l)
{
	execl(l->word[1], l->word[1], l->word[2], (char *)NULL);
	answer(l, -errno);
}

static void reap(struct line *l)
{
	int status;

	answer(l, waitpid(atoi(l->word[1]), &status, 0) < 0 ? -errno : status);
}

static void end_child(struct line *l)
{
	answer(l, kill(atoi(l->word[1]), SIGKILL) < 0 ? -errno : 0);
}

static void read_terminal(struct line *l)
{
	char buf[256];

	ssize_t n = read(0, buf, sizeof(buf) - 1);
	if (n < 0) {
		answer(l, -errno);
		return;
	}
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	fprintf(l->out, "%s\n", buf);
}

static void raw_mode(struct line *l)
{
	struct termios t;

	tcgetattr(0, &t);
	cfmakeraw(&t);
	answer(l, tcsetattr(0, TCSANOW, &t));
}

static void groups(struct line *l)
{
	fprintf(l->out, "%d %d\n", getpgrp(), tcgetpgrp(0));
}

static void leave(struct line *l)
{
	exit(atoi(l->word[1]));
}

static const struct {
	const char *name;
	void (*fn)(struct line *l);
} commands[] = {
    {"handler", set_handler},
    {"action", show_action},
    {"keep", keep},
    {"put-back", put_back},
    {"seen", show_seen},
    {"mask", mask},
    {"alarm", start_alarm},
    {"interrupt-by-signal", interrupt_by_signal},
    {"open", do_open},
    {"close", do_close},
    {"acquire", acquire},
    {"async", acquire_async},
    {"dispatch", dispatch},
    {"status", get_status},
    {"asked", asked},
    {"release", do_release},
    {"cancel", do_cancel},
    {"interrupt", do_interrupt},
    {"shield", do_shield},
    {"unshield", do_unshield},
    {"take", take},
    {"give", give},
    {"idle", wait_idle},
    {"debug", in_debug},
    {"turns", turns},
    {"fork", do_fork},
    {"daemon", daemonise},
    {"exec", run_other},
    {"crash", crash},
    {"reap", reap},
    {"kill", end_child},
    {"read", read_terminal},
    {"raw", raw_mode},
    {"groups", groups},
    {"exit", leave},
};

static void obey(struct line *l, char *text)
{
	size_t n = 0;

	memset(l->word, 0, sizeof(l->word));
	for (char *at = strtok_r(text, " \n", &text); at && n < 8;
	     at = strtok_r(NULL, " \n", &text))
		l->word[n++] = at;
	for (size_t i = 0; n && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(commands[i].name, l->word[0])) {
			commands[i].fn(l);
			return;
		}
	}
	fputs("what?\n", l->out);
}

/* fgets(3) that handlers do not end. */
static char *next_line(char *buf, int size, FILE *in)
{
	char *got;

	while (!(got = fgets(buf, size, in)) && ferror(in) && errno == EINTR)
		clearerr(in);
	return got;
}

static void *serve(void *arg)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct line l = {.thread = (int)(intptr_t)arg};
	char text[512];

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		_exit(1);
	FILE *in = fdopen(fd, "r");
	l.out = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 3), "w");
	if (!in || !l.out)
		_exit(1);
	setvbuf(l.out, NULL, _IOLBF, 1024);
	fprintf(l.out, "%d %d\n", getpid(), gettid());
	while (next_line(text, sizeof(text), in))
		obey(&l, text);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 3)
		return 64;
	socket_path = argv[1];
	for (intptr_t i = 1; i < atoi(argv[2]); i++)
		pthread_create(&thread, NULL, serve, (void *)i);
	serve((void *)0);
	return 0;
}
