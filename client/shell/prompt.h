/* prompt: who holds and how many wait, in as few columns as there are. */
#ifndef TTYLOCK_PROMPT_H
#define TTYLOCK_PROMPT_H

#include "view.h"

#define PROMPT_MAX 512

/* Writes the prompt for a window so many columns wide. Names of others are shown
 * with what could steer the terminal replaced. Of several terminals that are
 * held, the one where most wait is shown, and the number of the others. */
void prompt_write(char out[PROMPT_MAX], const struct view *v, int columns);

#endif
