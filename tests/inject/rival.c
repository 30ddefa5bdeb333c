#include "rival.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#include "../outside.h"

#define YIELD_LOOKS 50

static pid_t pid;
static int orders;

pid_t rival_process(void)
{
	return pid > 0 ? pid : 0;
}

static int is_waiter(const struct ttylock_entry *entry, void *arg)
{
	(void)arg;
	return entry->position != 0;
}

static bool somebody_waits(struct ttylock *t)
{
	return ttylock_list(t, 1000, is_waiter, NULL) == 1;
}

static void play(const struct acts_stage *stage, bool takes, int told)
{
	struct ttylock_wish wish = {.text = "a rival"};
	struct ttylock *t;
	uint64_t id;
	char byte = 'x';

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int file = open("holder", O_RDWR | O_CLOEXEC); /* a lock of its own */
	if (ttylock_open(&t, stage->tty, 0) < 0 || ttylock_acquire(t, &wish, 5000, &id) < 0)
		_exit(1);
	if (!acts_hold(file))
		_exit(2);
	if (takes && (ttylock_take_terminal(t, id) < 0 || ttylock_give_terminal(t) < 0))
		_exit(1);
	if (write(told, &byte, 1) != 1)
		_exit(1);
	bool yields = read(told, &byte, 1) == 1;
	for (int i = 0; i < YIELD_LOOKS && yields && !somebody_waits(t); i++)
		poll(NULL, 0, 10);
	acts_leave(file);
	ttylock_release(t, id);
	ttylock_close(t);
	_exit(0);
}

const char *rival_start(const struct acts_stage *stage, bool takes)
{
	int pair[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		play(stage, takes, pair[1]);
	}
	close(pair[1]);
	orders = pair[0];
	return read(pair[0], &byte, 1) == 1 ? NULL : "another is not served";
}

const char *rival_yield(void)
{
	return write(orders, "y", 1) == 1 ? NULL : "another is gone";
}

const char *rival_end(void)
{
	int status;

	if (pid <= 0)
		return NULL;
	close(orders);
	bool over = outside_is_over(pid, 5000);
	if (!over)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	pid = 0;
	return !over			  ? "another hangs"
	       : WEXITSTATUS(status) == 2 ? "there is a second holder"
	       : status			  ? "another is not served"
					  : NULL;
}
