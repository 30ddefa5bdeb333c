/* Very many processes that wait for one terminal, in a known order.
 *
 *     herd COUNT FILE COUNTS
 *
 * Holds the terminal until it reads a line, says "ready" when all wait, and at the
 * end how many had their turn. Whoever has it takes a lock on FILE as well, which
 * knows nothing of ours: two at once are seen by that, and end all with status 1.
 * COUNTS is written while it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

static int *turns, *answers; /* shared: how many there were; the latter to those who wait */
static const char *witness;
static int ready[2], start[2];

static void fail(const char *what, int error)
{
	printf("FAILED: pid %d: %s: %s\n", getpid(), what, strerror(-error));
	fflush(stdout);
	if (write(ready[1], "F", 1) < 0)
		perror("herd");
	_exit(1);
}

/* To be closed when the turn is over. */
static int take_witness(void)
{
	int fd = open(witness, O_RDWR | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		fail("somebody else holds", -errno);
	return fd;
}

static struct ttylock *open_handle(void)
{
	struct ttylock *t;
	int r = ttylock_open(&t, -1, TTYLOCK_START);

	if (r < 0)
		fail("open", r);
	return t;
}

/* Until it is more than asked for: the daemon's answer is here. */
static void await(struct ttylock *t, uint64_t id, enum ttylock_state state)
{
	struct ttylock_status s = {0};
	int r = 0;

	while (r >= 0 && (ttylock_get_status(t, id, &s) < 0 || !s.id || s.state != state)) {
		if (s.id && s.state != TTYLOCK_QUEUED && s.state != state)
			fail("its state", -(int)s.state);
		r = ttylock_dispatch(t, -1);
		if (r > 0)
			__atomic_fetch_add(answers, 1, __ATOMIC_SEQ_CST);
	}
	if (r < 0)
		fail("dispatch", r);
}

static void report(void)
{
	if (write(ready[1], "R", 1) != 1)
		_exit(1);
}

static void hold_first(void)
{
	struct ttylock_wish wish = {.text = "the first"};
	uint64_t id;
	char byte;

	struct ttylock *t = open_handle();
	int r = ttylock_acquire(t, &wish, 10000, &id);
	if (r < 0)
		fail("acquire", r);
	int fd = take_witness();
	report();
	if (read(start[0], &byte, 1) != 1)
		_exit(1);
	close(fd);
	r = ttylock_release(t, id);
	if (r < 0)
		fail("release", r);
	ttylock_close(t);
}

static void wait_for_turn(int number)
{
	struct ttylock_wish wish = {.text = "one of many"};
	uint64_t id;

	struct ttylock *t = open_handle();
	int r = ttylock_acquire_async(t, &wish, &id);
	if (r < 0)
		fail("acquire", r);
	await(t, id, TTYLOCK_QUEUED);
	report();
	await(t, id, TTYLOCK_GRANTED);
	int fd = take_witness();
	int before = __atomic_fetch_add(turns, 1, __ATOMIC_SEQ_CST);
	if (before != number) {
		printf("FAILED: number %d came as number %d\n", number, before);
		fflush(stdout);
		_exit(1);
	}
	close(fd);
	r = ttylock_release(t, id);
	if (r < 0)
		fail("release", r);
	ttylock_close(t);
}

/* Number -1 is the one that holds. */
static void begin(int number)
{
	char byte = 'F';

	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (number < 0)
			hold_first();
		else
			wait_for_turn(number);
		_exit(0);
	}
	if (pid < 0 || read(ready[0], &byte, 1) != 1 || byte == 'F')
		exit(1);
}

int main(int argc, char **argv)
{
	int status, failed = 0;

	if (argc != 4 || pipe2(ready, O_CLOEXEC) < 0 || pipe2(start, O_CLOEXEC) < 0)
		return 64;
	int count = atoi(argv[1]);
	witness = argv[2];
	int fd = open(argv[3], O_RDWR | O_CLOEXEC);
	turns = mmap(NULL, 2 * sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (turns == MAP_FAILED)
		return 64;
	answers = turns + 1;
	for (int i = -1; i < count; i++)
		begin(i);
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF || write(start[1], "", 1) != 1)
		return 1;
	while (wait(&status) > 0)
		failed += status != 0;
	printf("turns %d failed %d\n", *turns, failed);
	return failed || *turns != count;
}
