/* stage: a session with a terminal of its own, whose processes take it in turn.
 *
 * Each that has it looks whether it is the foreground, and whether what it reads
 * is what was typed for it.
 */
#ifndef CHAOS_STAGE_H
#define CHAOS_STAGE_H

#include "board.h"

/* What its processes ask with. */
#define STAGE_TEXT "takes the terminal"

/* Forks the session's leader, who keeps so many takers going, whatever they die
 * of; returns its pid, and sets *master. slots: one for each of them and one for
 * somebody who reads when nobody has the terminal. */
pid_t stage_open(struct slot *slots, int takers, uint64_t random, int terminal, int *master);

#endif
