/* driver: a library to be preloaded into a program that is an actor, or that
 * starts one. It joins the program's sync points to the board of the schedule
 * and is inert without one. Which actor it is, the board knows. */
#include <stdlib.h>

#include "board.h"
#include "hooks.h"

__attribute__((constructor)) static void driver_begin(void)
{
	const char *path = getenv(BOARD_ENV);
	struct board *b = path ? board_open(path) : NULL;

	if (!b)
		return;
	board_use(b);
	hooks_set(board_point);
}
