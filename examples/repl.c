/* A worker that talks to the person itself: a readline prompt inside a forked
 * child, on the terminal that all children share.
 *
 *     build/examples/repl 3
 *
 * starts three workers. Each takes its turn at the terminal, and has it for
 * itself: type "n" for its number, "sum A B", "quit" for the next one's turn.
 * Ctrl-C at the prompt ends nobody.
 */
#include <readline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ttylock.h>
#include <unistd.h>

static int number;

static void answer(const char *line)
{
	int a, b;

	if (strcmp(line, "n") == 0)
		printf("%d\n", number);
	else if (sscanf(line, "sum %d %d", &a, &b) == 2)
		printf("%d\n", a + b);
	else if (*line)
		printf("n | sum A B | quit\n");
}

static volatile int reading;

static char *read_line(const char *prompt)
{
	reading = 1;
	char *line = readline(prompt);
	reading = 0;
	return line;
}

static void talk(void)
{
	char prompt[32], *line;

	snprintf(prompt, sizeof(prompt), "worker %d> ", number);
	while ((line = read_line(prompt)) && strcmp(line, "quit") != 0) {
		answer(line);
		free(line);
	}
	free(line);
}

/* After a Ctrl-C was kept back: an empty line, as a shell shows it. While it
 * reads, readline catches SIGINT itself and calls us when it may be called. */
static void redraw(void *arg)
{
	(void)arg;
	if (!reading)
		return;
	rl_replace_line("", 0);
	rl_on_new_line();
	rl_redisplay();
}

static int work(void)
{
	struct ttylock_wish wish = {.text = "a prompt", .shield = true, .redraw = redraw};
	struct ttylock *t = NULL;
	uint64_t id;

	int r = ttylock_open(&t, -1, TTYLOCK_START);
	if (r == 0)
		r = ttylock_acquire(t, &wish, -1, &id);
	if (r == 0)
		r = ttylock_take_terminal(t, id);
	if (r == 0)
		talk();
	else
		fprintf(stderr, "worker %d: %s\n", number, strerror(-r));
	ttylock_close(t); /* gives the terminal back as well */
	return r < 0;
}

int main(int argc, char **argv)
{
	int workers = argc > 1 ? atoi(argv[1]) : 2, failed = 0, status;

	for (number = 1; number <= workers; number++)
		if (fork() == 0)
			exit(work());
	while (wait(&status) > 0)
		failed += status != 0;
	printf("all workers have ended, %d badly\n", failed);
	return failed > 0;
}
