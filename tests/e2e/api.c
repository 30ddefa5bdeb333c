/* Calls the public API as a program would: api MODE, on a terminal, prints one
 * line for each call: what it was, and its result. test_api.py says which
 * results are right. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#define SOON 10000 /* ms: a deadline that only a failure reaches */

static const char *const states[] = {
    "?", "QUEUED", "GRANTED", "RELEASED", "CANCELLED", "REFUSED", "LOST"};

static void say(const char *what, int r)
{
	if (r < 0)
		printf("%s: %s\n", what, strerrorname_np(-r));
	else
		printf("%s: %d\n", what, r);
	fflush(stdout);
}

static void say_state(const char *what, struct ttylock *t, uint64_t id)
{
	struct ttylock_status s;
	int r = ttylock_get_status(t, id, &s);

	if (r < 0)
		say(what, r);
	else
		printf("%s: %s %s\n", what, states[s.state],
		    s.error ? strerrorname_np(-s.error) : "-");
	fflush(stdout);
}

static struct ttylock *open_with(unsigned flags)
{
	struct ttylock *t = NULL;
	int r = ttylock_open(&t, -1, flags);

	if (r < 0) {
		say("open", r);
		exit(1);
	}
	return t;
}

static struct ttylock *open_handle(void)
{
	return open_with(TTYLOCK_START);
}

/* Dispatches until the request is not queued any more. */
static void settle(struct ttylock *t, uint64_t id)
{
	struct ttylock_status s;

	while (ttylock_get_status(t, id, &s) == 0 && s.state == TTYLOCK_QUEUED) {
		struct pollfd p = {.fd = ttylock_fd(t), .events = POLLIN};
		if (poll(&p, 1, SOON) != 1) {
			puts("settle: nothing came");
			return;
		}
		if (ttylock_dispatch(t, 0) < 0)
			return;
	}
}

/* Dispatches until the daemon has said where in the queue the request is. */
static void say_position(const char *what, struct ttylock *t, uint64_t id)
{
	struct ttylock_status s = {0};

	while (ttylock_get_status(t, id, &s) == 0 && s.state == TTYLOCK_QUEUED && !s.position)
		if (ttylock_dispatch(t, SOON) != 1)
			break;
	printf("%s: %s %u, behind %d %s %s\n", what, states[s.state], s.position,
	    s.holder_pid == getpid() || s.holder_pid == getppid(), s.holder_comm, s.holder_text);
	fflush(stdout);
}

static struct ttylock_wish task(uint64_t id)
{
	return (struct ttylock_wish){.task_name = "task", .task_id = id, .text = "for a test"};
}

/* Another process that runs fn once let_go() says so. It exists before we hold
 * anything: what is started by a holder is served on top of it. */
static pid_t prepare(void (*fn)(void), int *gate)
{
	int ends[2];
	char byte;

	if (pipe(ends) < 0)
		exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		if (read(ends[0], &byte, 1) == 1)
			fn();
		fflush(stdout);
		_exit(0);
	}
	close(ends[0]);
	*gate = ends[1];
	return pid;
}

static void let_go(pid_t pid, int gate)
{
	if (write(gate, "", 1) != 1)
		exit(1);
	close(gate);
	waitpid(pid, NULL, 0);
}

static int count_entry(const struct ttylock_entry *entry, void *arg)
{
	(void)entry;
	++*(int *)arg;
	return 0;
}

static int count(struct ttylock *t)
{
	int n = 0, r = ttylock_list(t, SOON, count_entry, &n);

	return r < 0 ? r : n;
}

/* --- the modes ------------------------------------------------------------ */

static void opening(void)
{
	struct ttylock *t = NULL;
	struct ttylock_wish wish = task(1);
	uint64_t id;

	int null = open("/dev/null", O_RDWR), half = open("/dev/tty", O_RDONLY);
	int tty = open("/dev/tty", O_RDWR);
	say("open without a daemon", ttylock_open(&t, -1, 0));
	say("open /dev/null", ttylock_open(&t, null, TTYLOCK_START));
	say("open a closed descriptor", ttylock_open(&t, 99, TTYLOCK_START));
	say("open read-only", ttylock_open(&t, half, TTYLOCK_START));
	printf("untouched: %d\n", t == NULL);
	ttylock_close(NULL);

	say("open", ttylock_open(&t, tty, TTYLOCK_START));
	close(tty);				/* it was duplicated */
	struct ttylock *keeper = open_handle(); /* a daemon without users ends */
	say("acquire", ttylock_acquire(t, &wish, SOON, &id));
	say("descriptor is inherited", fcntl(ttylock_fd(t), F_GETFD) & FD_CLOEXEC ? 0 : 1);
	ttylock_close(t);
	say("open without a terminal", ttylock_open(&t, TTYLOCK_NO_TERMINAL, 0));
	say("count", count(t));
	say("acquire without a terminal", ttylock_acquire(t, &wish, SOON, &id));
	ttylock_close(t);
	ttylock_close(keeper);
}

static void no_terminal(void)
{
	struct ttylock *t;

	say("open", ttylock_open(&t, -1, TTYLOCK_START));
}

static void only_open(void)
{
	struct ttylock *t;

	say("open", ttylock_open(&t, -1, TTYLOCK_START));
}

static void rival(void)
{
	struct ttylock *t = open_handle();
	struct ttylock_wish wish = task(1), impatient = {.nonblock = true};
	uint64_t id;

	say("rival nonblock", ttylock_acquire(t, &impatient, SOON, &id));
	say("rival 100 ms", ttylock_acquire(t, &wish, 100, &id));
	say("rival 0 ms", ttylock_acquire(t, &wish, 0, &id));
	say("count", count(t));
	say("rival", ttylock_acquire_async(t, &wish, &id));
	say_position("rival", t, id);
	ttylock_close(t);
}

static void blocking(void)
{
	int gate;
	pid_t other = prepare(rival, &gate);
	struct ttylock *t = open_handle();
	struct ttylock_wish wish = task(1), plain = {0};
	uint64_t id;

	say("acquire", ttylock_acquire(t, &wish, -1, &id));
	say_state("state", t, id);
	let_go(other, gate);
	say_state("state", t, id);
	say("release", ttylock_release(t, id));
	say("release again", ttylock_release(t, id));
	say("cancel", ttylock_cancel(t, id));
	say_state("state", t, id);
	say("acquire with defaults", ttylock_acquire(t, &plain, SOON, &id));
	say("cancel a grant", ttylock_cancel(t, id));
	say("count", count(t));
	ttylock_close(t);
}

static void tasks(void)
{
	struct ttylock *t = open_handle();
	struct ttylock_wish one = task(1), two = task(2), impatient = task(3);
	uint64_t first, second, third = 0;

	impatient.nonblock = true;
	say("first", ttylock_acquire(t, &one, SOON, &first));
	say("first again", ttylock_acquire(t, &one, SOON, &third));
	say_state("first", t, first);
	say("second", ttylock_acquire_async(t, &two, &second));
	say_position("second", t, second);
	say("second again", ttylock_acquire(t, &two, SOON, &third));
	say("third", ttylock_acquire(t, &impatient, SOON, &third));
	say("count", count(t));
	say("release", ttylock_release(t, first));
	settle(t, second);
	say_state("second", t, second);
	say("first", ttylock_acquire_async(t, &one, &first));
	say_position("first", t, first);
	say("cancel", ttylock_cancel(t, first));
	say_state("first", t, first);
	say("count", count(t));
	/* Closing releases: another handle gets it at once. */
	struct ttylock *other = open_handle();
	say("other", ttylock_acquire_async(other, &one, &first));
	say_position("other", other, first);
	ttylock_close(t);
	settle(other, first);
	say_state("other", other, first);
	ttylock_close(other);
}

/* An id means nothing to another handle. */
static void handles(void)
{
	struct ttylock *a = open_handle(), *b = open_handle();
	struct ttylock_wish one = task(1), two = task(2);
	uint64_t id, other;

	say("acquire", ttylock_acquire(a, &one, SOON, &id));
	say("queue", ttylock_acquire_async(b, &two, &other));
	say_position("other", b, other);
	say("release by the other", ttylock_release(b, id));
	say_state("state", a, id);
	say("cancel by the other", ttylock_cancel(a, other));
	say_state("other", b, other);
	ttylock_close(a);
	ttylock_close(b);
}

static void ranges(void)
{
	struct ttylock *t = open_handle();
	char name[65], text[2000];
	struct ttylock_wish wish = {.task_name = name, .text = text};
	uint64_t id;

	memset(name, 'n', sizeof(name));
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	name[64] = '\0';
	say("64 byte name", ttylock_acquire(t, &wish, SOON, &id));
	name[63] = '\0';
	say("63 byte name", ttylock_acquire(t, &wish, SOON, &id));
	say("release", ttylock_release(t, id));
	name[1] = '\0';
	wish.reason = (enum ttylock_reason)4;
	say("reason 4", ttylock_acquire(t, &wish, SOON, &id));
	wish.reason = (enum ttylock_reason) - 1;
	say("reason -1", ttylock_acquire(t, &wish, SOON, &id));
	wish.reason = TTYLOCK_BREAKPOINT;
	wish.subject = -1;
	say("subject -1", ttylock_acquire(t, &wish, SOON, &id));
	wish.subject = getppid();
	say("breakpoint", ttylock_acquire(t, &wish, SOON, &id));
	say("count", count(t));
	ttylock_close(t);
}

static int show_entry(const struct ttylock_entry *e, void *arg)
{
	int *n = arg;

	printf("entry: %d %d %d %s %llu %d %s %d %u %d %d\n", e->pid == getpid(),
	    e->uid == getuid(), !strcmp(e->comm, "api"), e->task_name,
	    (unsigned long long)e->task_id, (int)e->reason, e->text, e->subject == getpid(),
	    e->position, e->age_ms < SOON, e->hidden);
	return ++*n == 3 ? 42 : 0;
}

static void listing(void)
{
	struct ttylock *t = open_handle();
	struct ttylock_wish wish;
	uint64_t id;
	int n = 0;

	for (uint64_t i = 1; i <= 4; i++) {
		wish = task(i);
		ttylock_acquire_async(t, &wish, &id);
	}
	say_position("last", t, id);
	say("list", ttylock_list(t, SOON, show_entry, &n));
	say("count", count(t));
	ttylock_close(t);
}

static void forking(void)
{
	struct ttylock *t = open_handle();
	struct ttylock_wish wish = task(1);
	uint64_t id, other;

	say("acquire", ttylock_acquire(t, &wish, SOON, &id));
	pid_t pid = fork();
	if (pid == 0) {
		wish = task(2);
		say("child acquire", ttylock_acquire_async(t, &wish, &other));
		say("child release", ttylock_release(t, id));
		say("child dispatch", ttylock_dispatch(t, 0));
		ttylock_close(t);
		t = open_handle();
		wish.nonblock = true;
		say("child of its own", ttylock_acquire(t, &wish, SOON, &other));
		ttylock_close(t);
		exit(0);
	}
	waitpid(pid, NULL, 0);
	say_state("state", t, id);
	say("count", count(t));
	say("release", ttylock_release(t, id));
	ttylock_close(t);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void interrupted(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct ttylock *t = open_handle(), *rival_handle = open_handle();
	struct ttylock_wish one = task(1), two = task(2);
	uint64_t id, other;

	say("acquire", ttylock_acquire(t, &one, SOON, &id));
	sigaction(SIGALRM, &sa, NULL);
	ualarm(100000, 20000); /* again and again: one could come before the wait */
	say("wait", ttylock_acquire(rival_handle, &two, SOON, &other));
	ualarm(0, 0);
	say("count", count(t));
	ttylock_close(rival_handle);
	ttylock_close(t);
}

/* Says that it holds and waits; then somebody kills the daemon, and no other comes
 * until a line is typed. */
static void lost(void)
{
	struct ttylock *t = open_with(0);
	struct ttylock_wish one = task(1), two = task(2), three = task(3);
	uint64_t held, waits, id;
	int r;

	say("acquire", ttylock_acquire(t, &one, SOON, &held));
	say("queue", ttylock_acquire_async(t, &two, &waits));
	ttylock_dispatch(t, SOON);
	puts("kill it");
	fflush(stdout);
	while ((r = ttylock_dispatch(t, -1)) >= 0)
		;
	say("dispatch", r);
	say_state("held", t, held);
	say_state("waits", t, waits);
	say("dispatch again", ttylock_dispatch(t, SOON));
	say("fd", ttylock_fd(t) < 0 ? 0 : 1);
	say("acquire", ttylock_acquire(t, &three, SOON, &id));
	say("list", count(t));
	say("release", ttylock_release(t, held));
	say("release again", ttylock_release(t, held));
	say("cancel", ttylock_cancel(t, waits));
	ttylock_close(t);
	while (getchar() != '\n')
		;
	t = open_handle();
	say("with the next daemon", ttylock_acquire(t, &one, SOON, &held));
	ttylock_close(t);
}

/* The same while it blocks. */
static void lost_waiting(void)
{
	struct ttylock *t = open_with(0);
	struct ttylock_wish one = task(1), two = task(2);
	uint64_t id;

	say("acquire", ttylock_acquire(t, &one, SOON, &id));
	puts("kill it");
	fflush(stdout);
	say("wait", ttylock_acquire(t, &two, -1, &id));
	ttylock_close(t);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
	    {"opening", opening},
	    {"no-terminal", no_terminal},
	    {"only-open", only_open},
	    {"blocking", blocking},
	    {"tasks", tasks},
	    {"handles", handles},
	    {"ranges", ranges},
	    {"listing", listing},
	    {"forking", forking},
	    {"interrupted", interrupted},
	    {"lost", lost},
	    {"lost-waiting", lost_waiting},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++) {
		if (!strcmp(modes[i].name, argv[1])) {
			modes[i].run();
			return 0;
		}
	}
	return 64;
}
