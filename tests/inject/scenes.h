/* scenes: what the daemon under test lives through. Each makes for places that the others
 * do not come to, and says whether what it sees there is right.
 */
#ifndef TTYLOCK_TESTS_SCENES_H
#define TTYLOCK_TESTS_SCENES_H

#include "stage.h"

enum { SCENES_MAX = 32 };

/* The last one's name is NULL. */
extern const struct scene scenes[SCENES_MAX];

/* After stage_make; before stage_end. */
void scenes_make(void);
void scenes_end(void);

/* An error said of what is there that it is not: what follows from that is right. */
bool scene_is_lied_to(void);

/* --- plays (scenes_play.c) --------------------------------------------------------------- */

/* All that clients do. */
void play_all(struct players *all, pid_t daemon);
/* Little: one comes and goes. */
void play_short(struct players *all, pid_t daemon);
/* Some do not read, some say nothing, some say too much. */
void play_slow(struct players *all, pid_t daemon);
void play_alias(struct players *all, pid_t daemon);

#endif
