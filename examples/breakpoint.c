/*
 * A loop that stops at a breakpoint in its own text, five times. From a terminal:
 *
 *	build/examples/breakpoint
 *
 * Each time gdb shows the line below with the loop's values; things to type: next, print total,
 * set var total = 0. At "continue" gdb leaves and the program runs on, to the next breakpoint. Run
 * two of them at once (build/examples/breakpoint & build/examples/breakpoint; fg) and they take
 * turns at the terminal.
 */
#include <stdio.h>
#include <ttylock.h>

static int price(int item)
{
	return 100 + item * item;
}

int main(void)
{
	int total = 0;

	for (int item = 1; item <= 5; item++) {
		ttylock_breakpoint("before an item is added");
		total += price(item);
		printf("item %d: total %d\n", item, total);
		fflush(stdout);
	}
	ttylock_assert(total == 555);
	return 0;
}
