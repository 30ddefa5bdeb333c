/*
 * A small process tree in which three workers crash, each in its own way. Run it alone:
 *
 *	build/examples/tree
 *
 * and all there is to see is how they died. Run it under ttylock, from a terminal:
 *
 *	build/ttylock run -- build/examples/tree
 *
 * and each of the three opens a debugger on the line that failed, one after the other on the same
 *terminal. Nothing in this file knows about ttylock. Things to type at the prompts: bt, info
 *locals, print order, up, and quit for the next one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- worker 1: follows a pointer that was never set ---------------------- */

struct customer {
	char name[32];
	int credit;
};

struct order {
	int number;
	int cents;
	struct customer *customer; /* NULL when nobody filled it in */
};

static int credit_left(const struct order *order)
{
	int cents = order->cents;

	/* The crash: order 3 has no customer. In gdb: print *order */
	return order->customer->credit - cents;
}

static int check_orders(const struct order *orders, int count)
{
	int refused = 0;

	for (int i = 0; i < count; i++) {
		if (credit_left(&orders[i]) < 0)
			refused++;
	}
	return refused;
}

static void null_pointer(void)
{
	struct customer ada = {"Ada", 5000}, ben = {"Ben", 100};
	struct order orders[] = {{1, 1250, &ada}, {2, 300, &ben}, {3, 999, NULL}};

	printf("%d orders refused\n", check_orders(orders, 3));
}

/* --- worker 2: notices itself that something is wrong, and aborts -------- */

struct account {
	const char *owner;
	long balance;
};

static void transfer(struct account *from, struct account *to, long amount)
{
	long before = from->balance + to->balance;

	from->balance -= amount;
	to->balance += amount - amount / 100; /* somebody keeps one percent */

	/* No money may appear or vanish. In gdb: up (to this frame), info locals, print *from,
	 * print *to */
	if (from->balance + to->balance != before)
		abort();
}

static void failed_invariant(void)
{
	struct account till = {"till", 100000}, bank = {"bank", 0};

	transfer(&till, &bank, 50);
	transfer(&till, &bank, 250);
}

/* --- worker 3: fails at the end of a deep recursion ---------------------- */

struct node {
	int value;
	struct node *next;
};

static int sum(const struct node *node, int depth)
{
	/* The list is damaged: its last link points to nowhere. In gdb: bt, print depth, frame 10,
	 * print *node */
	int value = node->value;

	return node->next ? value + sum(node->next, depth + 1) : value;
}

static void deep_stack(void)
{
	static struct node nodes[50];
	int count = sizeof(nodes) / sizeof(*nodes);

	for (int i = 0; i < count; i++)
		nodes[i] = (struct node){i * i, &nodes[i + 1]};
	nodes[count - 1].next = (struct node *)16;
	printf("sum %d\n", sum(nodes, 0));
}

/* --- the parent: starts them all, and says what became of each ----------- */

static void (*const workers[])(void) = {null_pointer, failed_invariant, deep_stack};

enum { WORKERS = sizeof(workers) / sizeof(*workers) };

static pid_t start(int n)
{
	pid_t pid = fork();

	if (pid == 0) {
		workers[n]();
		exit(0);
	}
	if (pid < 0) {
		fprintf(stderr, "tree: cannot fork: %s\n", strerror(errno));
		exit(2);
	}
	return pid;
}

/* Returns whether it crashed. */
static int report(int n, pid_t pid, int status)
{
	int crashed = WIFSIGNALED(status);

	if (crashed)
		printf("worker %d (pid %d): killed by SIG%s\n", n + 1, pid,
		    sigabbrev_np(WTERMSIG(status)));
	else
		printf("worker %d (pid %d): exit status %d\n", n + 1, pid, WEXITSTATUS(status));
	fflush(stdout);
	return crashed;
}

int main(void)
{
	pid_t pids[WORKERS], pid;
	int crashed = 0, status;

	for (int n = 0; n < WORKERS; n++)
		pids[n] = start(n);
	while ((pid = wait(&status)) > 0) {
		for (int n = 0; n < WORKERS; n++) {
			if (pids[n] == pid)
				crashed += report(n, pid, status);
		}
	}
	return crashed > 0;
}
