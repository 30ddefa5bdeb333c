/*
 * A program with a result that a disturbance would change: busy [install] computes the same sum
 * over and over, by way of a pipe, the heap and two threads, until it gets SIGTERM; then it prints
 * what has changed meanwhile: "rounds R, wrong 0, failed 0, descriptors 0 more, heap 0 more,
 * children 0". failed counts system calls that failed (EINTR, say) and changes of errno by nobody.
 * "install": calls ttylock_stack_dump_install() of the library that LIBTTYLOCK names. "handler":
 * has a handler of its own for SIGUSR1, and says how often that ran. Prints "ready PID" first.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t over, own_handler_ran;
static _Atomic int failed;
static int ring[2];

static void on_term(int sig)
{
	(void)sig;
	over = 1;
}

static void on_usr1(int sig)
{
	(void)sig;
	own_handler_ran++;
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The heap's whole size, which a leak makes grow sooner or later. */
static long heap_size(void)
{
	struct mallinfo2 info = mallinfo2();

	return (long)(info.uordblks + info.hblkhd);
}

/* Blocks in read(2): the signal may come there. */
static void *reader_main(void *arg)
{
	uint64_t value, *sum = arg;

	for (int i = 0; i < 64; i++) {
		if (read(ring[0], &value, sizeof(value)) != sizeof(value))
			failed++;
		*sum = *sum * 31 + value;
	}
	return NULL;
}

static uint64_t compute(void)
{
	uint64_t sum = 0, value = 1;
	pthread_t reader;
	sigset_t term;

	/* The one signal that may break something off is for the main thread. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	if (pthread_create(&reader, NULL, reader_main, &sum) != 0)
		abort();
	for (int i = 0; i < 64; i++) {
		double *block = malloc(1000 + 100 * (size_t)i);
		errno = 4711;
		for (int n = 0; n < 2000; n++)
			value = value * 6364136223846793005u + 1442695040888963407u;
		block[0] = 1.0 / (double)(value | 1);
		for (int n = 0; n < 1000; n++)
			block[0] = block[0] * 1.0000001 + 0.5;
		if (errno != 4711)
			failed++;
		value ^= (uint64_t)(block[0] * 1000);
		if (write(ring[1], &value, sizeof(value)) != sizeof(value))
			failed++;
		free(block);
	}
	pthread_join(reader, NULL);
	pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	return sum;
}

static void install(const char *how)
{
	struct sigaction sa = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};

	if (strcmp(how, "handler") == 0) {
		sigaction(SIGUSR1, &sa, NULL);
	} else if (strcmp(how, "install") == 0) {
		void *library = dlopen(getenv("LIBTTYLOCK"), RTLD_NOW);
		int (*fn)(void) =
		    library ? (int (*)(void))dlsym(library, "ttylock_stack_dump_install") : NULL;
		int r = fn ? fn() : -1;
		if (r != 0) {
			printf("install: %d\n", r);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_term, .sa_flags = SA_RESTART};
	unsigned long rounds = 0, wrong = 0;
	int status;

	if (pipe(ring) < 0)
		return 2;
	if (argc > 1)
		install(argv[1]);
	sigaction(SIGTERM, &sa, NULL);
	uint64_t right = compute();
	int descriptors = count_descriptors();
	long heap = heap_size();
	printf("ready %d\n", getpid());
	fflush(stdout);
	heap = heap_size();
	while (!over) {
		wrong += compute() != right;
		rounds++;
	}
	descriptors = count_descriptors() - descriptors;
	heap = heap_size() - heap;
	int children = waitpid(-1, &status, __WALL | WNOHANG) >= 0 || errno != ECHILD;
	printf("rounds %lu, wrong %lu, failed %d, descriptors %d more, heap %ld more, children %d, "
	       "own handler %d\n",
	    rounds, wrong, failed, descriptors, heap, children, (int)own_handler_ran);
	return wrong || failed || descriptors || heap || children;
}
