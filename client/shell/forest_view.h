/* forest_view: the processes of held terminals as trees, with those marked that
 * hold or wait. */
#ifndef TTYLOCK_FOREST_VIEW_H
#define TTYLOCK_FOREST_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "feed.h"

struct forest_style {
	bool colours;
	unsigned width; /* 0: any */
};

/* root: of that process and all below it, else (0) of the terminals in the
 * listing. 0 or -errno: -ESRCH. */
int forest_print(FILE *out, const struct forest_style *style, const struct listing *l, pid_t root);

#endif
