/* An uncontended acquire and release against a bare round trip of frames of the
 * same size between two processes, in turns within one run: only the ratio
 * counts. Needs a terminal (script -qc) and a daemon is started on demand. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <ttylock.h>
#include <unistd.h>

#define ROUNDS 9
#define CYCLES 5000
#define FRAME  48

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void echo(int fd)
{
	char buf[FRAME];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, -1) > 0 && read(fd, buf, sizeof(buf)) > 0)
		if (write(fd, buf, sizeof(buf)) < 0)
			break;
	_exit(0);
}

static double round_trip(int fd)
{
	char buf[FRAME] = {0};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	double began = now_us();

	for (int i = 0; i < CYCLES; i++)
		if (write(fd, buf, sizeof(buf)) < 0 || poll(&p, 1, -1) < 0 ||
		    read(fd, buf, sizeof(buf)) <= 0)
			exit(1);
	return (now_us() - began) / CYCLES;
}

static double cycle(struct ttylock *t)
{
	struct ttylock_wish wish = {.text = "bench"};
	uint64_t id;
	double began = now_us();

	for (int i = 0; i < CYCLES; i++)
		if (ttylock_acquire(t, &wish, 5000, &id) < 0 || ttylock_release(t, id) < 0)
			exit(1);
	return (now_us() - began) / CYCLES;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	double ratio[ROUNDS], bare = 0, full = 0;
	struct ttylock *t;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 1;
	pid_t child = fork();
	if (child == 0) {
		close(pair[0]);
		echo(pair[1]);
	}
	close(pair[1]);
	int r = ttylock_open(&t, -1, TTYLOCK_START);
	if (r < 0) {
		fprintf(stderr, "bench: %s\n", strerror(-r));
		return 1;
	}
	for (int i = 0; i < ROUNDS; i++) {
		double a = round_trip(pair[0]), b = cycle(t);
		ratio[i] = b / a;
		bare += a / ROUNDS;
		full += b / ROUNDS;
	}
	qsort(ratio, ROUNDS, sizeof(*ratio), by_value);
	printf("acquire and release, uncontended: %.2f x a bare round trip (%.2f to %.2f; %.1f us "
	       "against %.1f us)\n",
	    ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1], full, bare);
	ttylock_close(t);
	close(pair[0]);
	waitpid(child, NULL, 0);
	return 0;
}
