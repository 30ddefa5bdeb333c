/*
 * Programs that ask for crash handlers: crash_handler MODE. The modes are the table at the end;
 * test_crash_handler.py says what each has to show.
 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

static int *volatile nowhere;

static void say(const char *what, int value)
{
	printf("%s: %d\n", what, value);
	fflush(stdout);
}

static void report(const char *name, pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	say(name, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static int bug(void)
{
	int answer = 42;

	*nowhere = answer; /* here: bug */
	return answer;
}

static int crash(void)
{
	say("install", ttylock_crash_handler_install());
	say("again", ttylock_crash_handler_install());
	return bug();
}

static int overflow(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

static void *overflow_in_thread(void *arg)
{
	say("thread", ttylock_crash_handler_thread());
	overflow(0);
	return arg;
}

static int thread_overflow(void)
{
	pthread_t id;

	ttylock_crash_handler_install();
	pthread_create(&id, NULL, overflow_in_thread, NULL);
	pthread_join(id, NULL);
	return 0;
}

static void *thread_short(void *arg)
{
	if (ttylock_crash_handler_thread() != 0)
		_exit(2);
	return arg;
}

static int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int lines = 0;

	for (int c; (c = getc(maps)) != EOF;)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

static int threads_leave_nothing(void)
{
	int first = 0;

	for (int n = 0; n < 200; n++) {
		pthread_t id;
		pthread_create(&id, NULL, thread_short, NULL);
		pthread_join(id, NULL);
		if (n == 100)
			first = mappings();
	}
	say("more mappings", mappings() - first);
	return 0;
}

/* malloc finds its top chunk smashed and aborts with its lock held. */
static int heap(void)
{
	size_t size = 24, *chunk = malloc(size);

	ttylock_crash_handler_install();
	for (int i = 0; i < 64; i++)
		chunk[i] = ~(size_t)7;
	free(malloc(1 << 20));
	chunk = malloc(100000);
	free(chunk);
	return 3;
}

static int same_action(const struct sigaction *a, const struct sigaction *b)
{
	const int libcs_own = 0x04000000; /* SA_RESTORER: set by any sigaction(3) */

	return a->sa_sigaction == b->sa_sigaction &&
	       (a->sa_flags | libcs_own) == (b->sa_flags | libcs_own) &&
	       memcmp(&a->sa_mask, &b->sa_mask, 8) == 0;
}

static void on_own(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
}

/* On and off again: the six handlers are what they were. */
static int on_and_off(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
	struct sigaction own = {.sa_sigaction = on_own, .sa_flags = SA_SIGINFO};
	struct sigaction before[6], after;
	int same = 0, ours = 0;

	sigaction(SIGFPE, &own, NULL);
	signal(SIGILL, SIG_IGN);
	ttylock_crash_handler_set(false);
	for (int i = 0; i < 6; i++)
		sigaction(signals[i], NULL, &before[i]);
	say("on", ttylock_crash_handler_set(true));
	for (int i = 0; i < 6; i++) {
		sigaction(signals[i], NULL, &after);
		ours += !same_action(&before[i], &after);
	}
	say("ours", ours);
	say("off", ttylock_crash_handler_set(false));
	for (int i = 0; i < 6; i++) {
		sigaction(signals[i], NULL, &after);
		same += same_action(&before[i], &after);
	}
	say("same", same);
	return bug();
}

static pid_t crash_in_child(const char *name, int by_exec)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (by_exec)
			execl("/proc/self/exe", name, "bug", NULL);
		exit(bug());
	}
	return pid;
}

/* One after the other: off by fork, off by exec, on by fork, on by exec. */
static int scoped(void)
{
	for (int on = 0; on <= 1; on++) {
		ttylock_crash_handler_set(on);
		report(on ? "on, fork" : "off, fork", crash_in_child("on", 0));
		report(on ? "on, exec" : "off, exec", crash_in_child("on", 1));
	}
	return 5;
}

/* --- more than one crash -------------------------------------------------- */

static sigjmp_buf out;

static void jump_out(int sig)
{
	siglongjmp(out, sig);
}

/* A test runner that outlives what its tests do. */
static int jumps(void)
{
	volatile int survived = 0;

	signal(SIGSEGV, jump_out);
	ttylock_crash_handler_install();
	for (volatile int n = 0; n < 3; n++) {
		if (sigsetjmp(out, 1) == 0)
			bug();
		else
			say("survived", ++survived);
	}
	return 0;
}

static char *volatile pages;

static void open_pages(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	mprotect((char *)info->si_addr, 1, PROT_READ | PROT_WRITE);
}

/* A program that is told by faults what is written to, as collectors of garbage are. */
static int mends(void)
{
	struct sigaction own = {.sa_sigaction = open_pages, .sa_flags = SA_SIGINFO};
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	pages = mmap(NULL, 3 << 12, PROT_READ, flags, -1, 0);
	sigaction(SIGSEGV, &own, NULL);
	ttylock_crash_handler_install();
	for (int page = 0; page < 3; page++)
		pages[page << 12] = 1;
	say("written", pages[0] + pages[1 << 12] + pages[2 << 12]);
	return 0;
}

static volatile sig_atomic_t noted;

static void note(int sig)
{
	noted = sig;
}

static int outlives_abort(void)
{
	signal(SIGABRT, note);
	ttylock_crash_handler_install();
	for (int n = 1; n <= 2; n++) {
		raise(SIGABRT);
		say("survived", n);
	}
	return 0;
}

/* The person lets it go on; then, told so, it crashes again. */
static int repaired(void)
{
	sigset_t told;
	int sig;

	sigemptyset(&told);
	sigaddset(&told, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &told, NULL);
	ttylock_crash_handler_install();
	raise(SIGSEGV);
	say("repaired", getpid());
	sigwait(&told, &sig);
	return bug();
}

static void *run_repaired(void *arg)
{
	repaired();
	return arg;
}

static int repaired_thread(void)
{
	sigset_t told;
	pthread_t id;

	sigemptyset(&told);
	sigaddset(&told, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &told, NULL); /* the other thread's, who waits for it */
	pthread_create(&id, NULL, run_repaired, NULL);
	pthread_join(id, NULL);
	return 0;
}

/* --- nothing of ours ------------------------------------------------------ */

static int count(const char *directory)
{
	DIR *d = opendir(directory);
	int n = -3; /* ".", ".." and what opendir() opened */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void *install_for_ever(void *arg)
{
	for (;;) {
		ttylock_crash_handler_install();
		ttylock_crash_handler_thread();
	}
	return arg;
}

/* Each child installs them as well, whatever another thread of its parent was at. */
static int forks_beside(void)
{
	pthread_t thread;
	int bad = 0;

	say("install", ttylock_crash_handler_install());
	pthread_create(&thread, NULL, install_for_ever, NULL);
	for (int i = 0; i < 100 && bad == 0; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			alarm(20);
			_exit(ttylock_crash_handler_install() != 0 ||
			      ttylock_crash_handler_thread() != 0);
		}
		waitpid(pid, &status, 0);
		bad += status != 0;
	}
	say("children that could not", bad);
	return 0;
}

/* Links the library and does not call it: what is there of it. */
static int idle(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), status))
		if (strncmp(line, "Sig", 3) == 0 || strncmp(line, "Shd", 3) == 0 ||
		    strncmp(line, "Threads", 7) == 0)
			fputs(line, stdout);
	fclose(status);
	say("descriptors", count("/proc/self/fd"));
	say("threads", count("/proc/self/task") + 1);
	return 0;
}

static const struct mode {
	const char *name;
	int (*run)(void);
} modes[] = {
    {"bug", bug},
    {"crash", crash},
    {"thread-overflow", thread_overflow},
    {"threads-leave-nothing", threads_leave_nothing},
    {"heap", heap},
    {"on-and-off", on_and_off},
    {"scoped", scoped},
    {"jumps", jumps},
    {"mends", mends},
    {"outlives-abort", outlives_abort},
    {"repaired", repaired},
    {"repaired-thread", repaired_thread},
    {"forks-beside", forks_beside},
    {"idle", idle},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++)
		if (strcmp(modes[i].name, argv[1]) == 0)
			return modes[i].run();
	fprintf(stderr, "usage: crash_handler MODE\n");
	return 64;
}
