/* A program whose signal handler forks, wherever that finds it: in the library too.
 *
 *     forker ROUNDS
 *
 * Every other child goes on where the handler has found the parent, which it was in the
 * middle of. It has to come out of the library, and to have a handle of its own then.
 * Ends with how many there were, or at the first thing that is wrong.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

#define EACH_US	 300
#define CHILD_S	 20
#define CHECK_MS 5000

static pid_t parent;
static unsigned forks;
static volatile sig_atomic_t failed;

/* Once: as long as this takes is different each time, and the library gets on. */
static void set_timer(long us)
{
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = us}}, NULL);
}

static void on_alarm(int sig)
{
	int status = 0, error = errno;

	(void)sig;
	pid_t pid = fork();
	if (pid == 0) {
		set_timer(0);
		signal(SIGALRM, SIG_DFL);
		alarm(CHILD_S); /* it hangs */
		if (forks % 2 == 0)
			_exit(0);
		return;
	}
	forks++;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	failed = failed ? failed : status;
	set_timer(EACH_US);
	errno = error;
}

/* A child is out of what its parent did. The parent holds the terminal, or waits. */
static void end_child(struct ttylock *parents, uint64_t id)
{
	struct ttylock_wish wish = {.nonblock = true, .text = "a child"};
	struct ttylock *own;

	if (getpid() == parent)
		return;
	if (ttylock_release(parents, id) != -ECONNRESET && id != 0)
		_exit(3);
	ttylock_close(parents);
	if (ttylock_open(&own, STDIN_FILENO, 0) < 0)
		_exit(4);
	int r = ttylock_acquire(own, &wish, CHECK_MS, &id);
	if (r < 0 && r != -EBUSY)
		_exit(5);
	ttylock_close(own);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct ttylock_wish wish = {.text = "forks in a handler"};
	struct ttylock *t;
	uint64_t id = 0;

	parent = getpid();
	if (ttylock_open(&t, STDIN_FILENO, TTYLOCK_START) < 0)
		return 1;
	sigaction(
	    SIGALRM, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART}, NULL);
	set_timer(EACH_US);
	for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 1000) && !failed; i++) {
		wish.shield = i % 3 == 0;
		id = 0;
		int r = ttylock_acquire(t, &wish, CHECK_MS, &id);
		end_child(t, id);
		if (r == 0)
			ttylock_release(t, id);
		end_child(t, id);
		if (r < 0 && r != -EINTR)
			failed = 1000 - r;
	}
	set_timer(0);
	ttylock_close(t);
	printf("forks %u, wrong: %d\n", forks, (int)failed);
	return failed || forks == 0;
}
