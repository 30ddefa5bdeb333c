/* Threads that ask for one terminal in every way at once, and fork meanwhile.
 *
 *     churn THREADS ROUNDS [SHARED-FILE [dies]]
 *
 * The holders write their number into a word that all share (with SHARED-FILE,
 * several processes do): whoever finds another's there has seen two holders at
 * once. Ends with one line of counts, or at the first thing that is wrong, with
 * what it was. Before and after it has the same descriptors, threads and heap, unless
 * the daemon dies now and then: something may be owed to the next one. Then it goes on,
 * too, until whoever kills the daemon has written into the word after that one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#define THREADS_MAX 16
#define HEAP_SLACK  (64 * 1024)

extern char **environ;

struct worker {
	pthread_t thread;
	int number;
	unsigned rounds, random;
	struct ttylock *own;
	uint64_t offered; /* atomic: a request on the common handle that anybody may cancel */
};

static struct ttylock *common;
static struct worker workers[THREADS_MAX];
static int threads;
static int daemon_dies;
static pthread_barrier_t together;
static int *holder;		/* atomic: who holds the terminal; 0: nobody */
static const int *enough;	/* atomic: the daemon has died often enough */
static struct ttylock *waiting; /* atomic: what the signal handler interrupts */
static int interrupts;		/* atomic: SIGINTs that the host's own handler had */

enum { GRANTED, BUSY, TIMEOUT, CANCELLED, INTERRUPTED, FORKS, SPAWNS, OPENED, COUNTS };
static unsigned counts[COUNTS];

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("wrong: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

static void count(int what)
{
	__atomic_add_fetch(&counts[what], 1, __ATOMIC_RELAXED);
}

static unsigned draw(struct worker *w, unsigned below)
{
	w->random = w->random * 1664525 + 1013904223;
	return (w->random >> 16) % below;
}

/* --- holding -------------------------------------------------------------- */

static void hold(const struct worker *w, struct ttylock *t, uint64_t id)
{
	int me = getpid() * 100 + w->number + 1;
	struct ttylock_status status;

	int before = __atomic_exchange_n(holder, me, __ATOMIC_SEQ_CST);
	if (before)
		fail("%d holds while %d does", me, before);
	if (ttylock_get_status(t, id, &status) < 0 || status.state != TTYLOCK_GRANTED)
		fail("granted, but the status is %d", (int)status.state);
	int after = __atomic_exchange_n(holder, 0, __ATOMIC_SEQ_CST);
	if (after != me)
		fail("%d came while %d held", after, me);
	count(GRANTED);
}

/* Takes note of what acquire returned. Whether it holds. */
static int judge(int r, const char *what)
{
	switch (r) {
	case 0:
		return 1;
	case -EBUSY:
		count(BUSY);
		return 0;
	case -ETIMEDOUT:
		count(TIMEOUT);
		return 0;
	case -ECANCELED:
		count(CANCELLED);
		return 0;
	case -EINTR:
		count(INTERRUPTED);
		return 0;
	default:
		fail("%s: %s", what, strerror(-r));
	}
	return 0;
}

/* Told to the next daemon. */
static int is_told_later(int r)
{
	return r == -ECONNRESET && daemon_dies;
}

static void expect_over(int r, const char *what)
{
	if (r < 0 && r != -ENOENT && !is_told_later(r))
		fail("%s: %s", what, strerror(-r));
}

static void take_turn(
    struct worker *w, struct ttylock *t, struct ttylock_wish *wish, int timeout_ms)
{
	uint64_t id;

	if (!judge(ttylock_acquire(t, wish, timeout_ms, &id), "acquire"))
		return;
	hold(w, t, id);
	int r = ttylock_release(t, id);
	if (r < 0 && !is_told_later(r))
		fail("release: %s", strerror(-r));
}

static void wait_for_turn(struct worker *w)
{
	struct ttylock_wish wish = {.text = "waits", .shield = draw(w, 4) == 0};

	take_turn(w, draw(w, 2) ? common : w->own, &wish, -1);
}

static void try_turn(struct worker *w)
{
	struct ttylock_wish wish = {.nonblock = true};

	take_turn(w, draw(w, 2) ? common : w->own, &wish, -1);
}

static void wait_a_little(struct worker *w)
{
	struct ttylock_wish wish = {.text = "in a hurry"};

	take_turn(w, draw(w, 2) ? common : w->own, &wish, (int)draw(w, 3));
}

/* --- cancelling ----------------------------------------------------------- */

/* Others may cancel it at any moment, so it is never held in earnest. */
static void offer(struct worker *w)
{
	struct ttylock_wish wish = {.text = "may be cancelled", .shield = draw(w, 4) == 0};

	if (judge(ttylock_acquire(common, &wish, 1000, &w->offered), "acquire"))
		expect_over(ttylock_release(common, w->offered), "release");
	__atomic_store_n(&w->offered, 0, __ATOMIC_SEQ_CST);
}

static void cancel_offers(void)
{
	for (int i = 0; i < threads; i++) {
		uint64_t id = __atomic_load_n(&workers[i].offered, __ATOMIC_SEQ_CST);
		if (id)
			expect_over(ttylock_cancel(common, id), "cancel");
	}
}

static void ask_and_look(struct worker *w)
{
	struct ttylock_wish wish = {.text = "asynchronous"};
	struct ttylock_status status = {.state = TTYLOCK_QUEUED};
	uint64_t id;

	int r = ttylock_acquire_async(w->own, &wish, &id);
	if (r < 0)
		fail("acquire_async: %s", strerror(-r));
	for (unsigned looks = draw(w, 50); looks && status.state == TTYLOCK_QUEUED; looks--) {
		r = ttylock_dispatch(w->own, 2);
		if (r < 0 && r != -EINTR)
			fail("dispatch: %s", strerror(-r));
		if (ttylock_get_status(w->own, id, &status) < 0)
			fail("a request that nobody ended is gone");
	}
	if (status.state == TTYLOCK_GRANTED)
		hold(w, w->own, id);
	r = status.state == TTYLOCK_GRANTED ? ttylock_release(w->own, id)
					    : ttylock_cancel(w->own, id);
	if (r < 0 && !is_told_later(r))
		fail("the end of an asynchronous request: %s", strerror(-r));
}

static void on_usr1(int sig)
{
	struct ttylock *t = __atomic_load_n(&waiting, __ATOMIC_SEQ_CST);

	(void)sig;
	if (t)
		ttylock_interrupt(t);
}

static void on_int(int sig)
{
	(void)sig;
	__atomic_add_fetch(&interrupts, 1, __ATOMIC_RELAXED);
}

static void interrupt(struct worker *w)
{
	if (draw(w, 4))
		ttylock_interrupt(common);
	else
		pthread_kill(workers[draw(w, (unsigned)threads)].thread, SIGUSR1);
}

/* --- handles and processes ------------------------------------------------ */

static void open_another(struct worker *w)
{
	struct ttylock_wish wish = {.text = "a handle for once", .shield = draw(w, 3) == 0};
	struct ttylock *t;

	int r = ttylock_open(&t, -1, 0);
	if (r == -ENOENT && daemon_dies)
		return;
	if (r < 0)
		fail("open: %s", strerror(-r));
	if (draw(w, 2))
		take_turn(w, t, &wish, 1000);
	else
		ttylock_acquire_async(t, &wish, &(uint64_t){0}); /* ends with the handle */
	ttylock_close(t);
	count(OPENED);
}

static int has_socket(void)
{
	char link[300], target[64];
	int found = 0;
	DIR *dir = opendir("/proc/self/fd");

	for (struct dirent *e; dir && (e = readdir(dir));) {
		snprintf(link, sizeof(link), "/proc/self/fd/%s", e->d_name);
		ssize_t n = readlink(link, target, sizeof(target) - 1);
		found |= n > 7 && memcmp(target, "socket:", 7) == 0;
	}
	closedir(dir);
	return found;
}

/* What the child of a fork has of its parent's: nothing. The exit status names
 * the call that was wrong. */
static int be_inert(struct worker *w)
{
	struct ttylock_wish wish = {.text = "of a child"}, shielded = {.shield = true};
	struct ttylock_status status;
	uint64_t id = 1;

	alarm(20);
	if (has_socket())
		return 1;
	if (ttylock_acquire(common, &wish, 1000, &id) != -ECONNRESET)
		return 2;
	if (ttylock_acquire_async(w->own, &shielded, &id) != -ECONNRESET)
		return 3;
	if (ttylock_dispatch(common, 0) != -ECONNRESET || ttylock_fd(common) != -1)
		return 4;
	for (id = 1; id < 5; id++)
		if (ttylock_get_status(common, id, &status) != -ENOENT ||
		    ttylock_release(common, id) != -ECONNRESET ||
		    ttylock_cancel(w->own, id) != -ECONNRESET)
			return 5;
	if (ttylock_shield(common) != -ECONNRESET || ttylock_unshield(common) != -ENOENT)
		return 6;
	if (ttylock_take_terminal(common, 1) != -ENOENT ||
	    ttylock_give_terminal(common) != -ECONNRESET)
		return 7;
	ttylock_interrupt(common);
	ttylock_close(common);
	ttylock_close(w->own);
	return 0;
}

static void await_child(pid_t pid, const char *what)
{
	int status;

	if (pid < 0)
		fail("%s: %s", what, strerror(errno));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("waitpid: %s", strerror(errno));
	if (status)
		fail("%s: its status is %#x", what, status);
}

static void fork_child(struct worker *w)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(be_inert(w));
	await_child(pid, "a child of fork");
	count(FORKS);
}

static void spawn_child(struct worker *w)
{
	char *argv[] = {"true", NULL};
	pid_t pid;

	if (draw(w, 2)) {
		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) != 0)
			pid = -1;
	} else {
		pid = vfork();
		if (pid == 0) {
			execv("/bin/true", argv);
			_exit(126);
		}
	}
	await_child(pid, "a program that was started");
	count(SPAWNS);
}

/* --- all of it ------------------------------------------------------------ */

static void act(struct worker *w)
{
	switch (draw(w, 16)) {
	case 0 ... 3:
		wait_for_turn(w);
		break;
	case 4 ... 5:
		try_turn(w);
		break;
	case 6 ... 7:
		wait_a_little(w);
		break;
	case 8 ... 9:
		offer(w);
		break;
	case 10 ... 11:
		cancel_offers();
		break;
	case 12:
		ask_and_look(w);
		break;
	case 13:
		interrupt(w);
		break;
	case 14:
		open_another(w);
		break;
	case 15:
		if (draw(w, 8) == 0)
			fork_child(w);
		else if (draw(w, 8) == 0)
			spawn_child(w);
		else if (draw(w, 32) == 0)
			kill(getpid(), SIGINT);
		break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(&together); /* all can be sent signals from here */
	for (unsigned i = 0; i < w->rounds || !__atomic_load_n(enough, __ATOMIC_SEQ_CST); i++)
		act(w);
	pthread_barrier_wait(&together); /* to here */
	return NULL;
}

static void open_handle(struct ttylock **outp)
{
	int r;

	/* Where it cannot start one it finds the next one that somebody else does. */
	do
		r = ttylock_open(outp, -1, TTYLOCK_START);
	while (r == -ENOENT && daemon_dies && sched_yield() == 0);
	if (r < 0)
		fail("open: %s", strerror(-r));
}

static void run(unsigned rounds)
{
	open_handle(&common);
	__atomic_store_n(&waiting, common, __ATOMIC_SEQ_CST);
	for (int i = 0; i < threads; i++) {
		workers[i].number = i;
		workers[i].rounds = rounds;
		workers[i].random += (unsigned)(i + 1) * 7919;
		open_handle(&workers[i].own);
	}
	pthread_barrier_init(&together, NULL, (unsigned)threads);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			fail("pthread_create");
	for (int i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	__atomic_store_n(&waiting, NULL, __ATOMIC_SEQ_CST);
	for (int i = 0; i < threads; i++)
		ttylock_close(workers[i].own);
	ttylock_close(common);
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	struct sigaction usr1 = {.sa_handler = on_usr1}, sigint = {.sa_handler = on_int};
	unsigned char was[256] = "", is[256] = "";
	static const int no_deaths = 1;
	int fd = -1;

	if (argc < 3)
		return 64;
	threads = atoi(argv[1]);
	unsigned rounds = (unsigned)atoi(argv[2]);
	if (argc > 3)
		fd = open(argv[3], O_RDWR | O_CLOEXEC);
	daemon_dies = argc > 4;
	holder = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (holder == MAP_FAILED || threads > THREADS_MAX)
		return 64;
	enough = &no_deaths;
	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGINT, &sigint, NULL);
	syscall(SYS_rt_sigaction, SIGINT, NULL, was, _NSIG / 8);

	run(rounds / 10 + 20);
	int fds = entries("/proc/self/fd"), tasks = entries("/proc/self/task");
	size_t heap = mallinfo2().uordblks;
	if (daemon_dies)
		enough = holder + 1;
	run(rounds);
	int fds_after = entries("/proc/self/fd"), tasks_after = entries("/proc/self/task");
	size_t heap_after = mallinfo2().uordblks;

	if (!daemon_dies &&
	    (fds_after != fds || tasks_after != tasks || heap_after > heap + HEAP_SLACK))
		fail("descriptors %d to %d, threads %d to %d, heap %zu to %zu", fds, fds_after,
		    tasks, tasks_after, heap, heap_after);
	syscall(SYS_rt_sigaction, SIGINT, NULL, is, _NSIG / 8);
	if (memcmp(was, is, sizeof(is)) != 0)
		fail("the handler of SIGINT is not what it was");
	printf("granted %u busy %u timeout %u cancelled %u interrupted %u forks %u spawns %u "
	       "opened %u sigints %d\n",
	    counts[GRANTED], counts[BUSY], counts[TIMEOUT], counts[CANCELLED], counts[INTERRUPTED],
	    counts[FORKS], counts[SPAWNS], counts[OPENED], interrupts);
	return 0;
}
