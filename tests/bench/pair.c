#include "pair.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

void *pair_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap", errno);
	return memory;
}

pid_t pair_fork(struct pair *p)
{
	int down[2], up[2];
	pid_t parent = getpid();

	p->began = pair_shared(sizeof(*p->began));
	if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0)
		die("pipe2", errno);
	pid_t pid = fork();
	if (pid < 0)
		die("fork", errno);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	p->other = pid ? pid : parent;
	p->rx = pid ? up[0] : down[0];
	p->tx = pid ? down[1] : up[1];
	close(pid ? down[0] : up[0]);
	close(pid ? up[1] : down[1]);
	return pid;
}

void pair_command(struct pair *p, uint32_t command)
{
	if (write(p->tx, &command, sizeof(command)) != sizeof(command))
		die("the other process is gone", 0);
}

uint32_t pair_await(struct pair *p)
{
	uint32_t command;

	if (read(p->rx, &command, sizeof(command)) != sizeof(command))
		exit(0);
	return command;
}

/* Until it sleeps: it has said that the next thing it does is to take. */
static void await_sleep(pid_t pid)
{
	char path[32], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (;;) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (n <= 0)
			die("the other process is gone", 0);
		close(fd);
		text[n] = '\0';
		const char *end = strrchr(text, ')');
		if (end && end[2] == 'S')
			return;
		/* Both may be tied to one processor. */
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
}

double pair_pass(struct pair *p, const struct baton *b, unsigned times, int has_it)
{
	static struct series taking;

	for (unsigned i = 0; i < times; i++, has_it = !has_it) {
		if (has_it) {
			pair_await(p);
			await_sleep(p->other);
			if (b->prepare)
				b->prepare(b->arg);
			*(volatile double *)p->began = now_ns();
			b->give(b->arg);
			pair_await(p);
		} else {
			pair_command(p, 0);
			b->take(b->arg);
			series_add(&taking, now_ns() - *(volatile double *)p->began);
			if (b->taken)
				b->taken(b->arg);
			pair_command(p, 0);
		}
	}
	return series_median(&taking);
}
