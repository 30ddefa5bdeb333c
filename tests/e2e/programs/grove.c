/*
 * A tree of processes with threads, for tests of stack dumps: grove BRANCHES LEAVES THREADS starts
 * BRANCHES children, each of which starts LEAVES children; every process has THREADS threads, which
 * wait for ever. Prints "ready N" when all N processes stand, and waits for a byte on standard
 * input. Then it prints how many of them live and how many threads have come back from their wait:
 * "N alive, 0 returned".
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES_MAX = 1000 };

struct board {
	_Atomic int standing, returned;
	_Atomic pid_t pids[PROCESSES_MAX];
};

static struct board *board;
static int threads;

static void wait_for_ever(void)
{
	sem_t never;

	sem_init(&never, 0, 0);
	sem_wait(&never);
	board->returned++;
}

static void *thread_main(void *arg)
{
	pthread_barrier_wait(arg);
	wait_for_ever();
	return NULL;
}

static void stand(void)
{
	static pthread_barrier_t all;
	pthread_t thread;

	pthread_barrier_init(&all, NULL, threads);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, thread_main, &all) != 0)
			abort();
	pthread_barrier_wait(&all);
	board->pids[board->standing++] = getpid();
}

static void leaf(void)
{
	stand();
	wait_for_ever();
	_exit(1);
}

static void start(void (*what)(int), int arg)
{
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		what(arg);
	}
}

static void grow_leaf(int unused)
{
	(void)unused;
	leaf();
}

static void branch(int leaves)
{
	for (int i = 0; i < leaves; i++)
		start(grow_leaf, 0);
	leaf();
}

int main(int argc, char **argv)
{
	int branches, leaves, count, alive = 0;
	char byte;

	if (argc != 4)
		return 64;
	branches = atoi(argv[1]);
	leaves = atoi(argv[2]);
	threads = atoi(argv[3]);
	count = 1 + branches * (1 + leaves);
	if (count > PROCESSES_MAX)
		return 64;
	board =
	    mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < branches; i++)
		start(branch, leaves);
	stand();
	while (board->standing < count)
		usleep(1000);
	printf("ready %d\n", count);
	fflush(stdout);
	if (read(0, &byte, 1) != 1)
		return 2;
	for (int i = 0; i < count; i++)
		alive +=
		    kill(board->pids[i], 0) == 0 && waitpid(board->pids[i], NULL, WNOHANG) <= 0;
	printf("%d alive, %d returned\n", alive, board->returned);
	return alive != count || board->returned != 0;
}
