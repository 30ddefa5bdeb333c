/* complete: what Tab offers: commands, their options, and the ids, pids and
 * terminals of the view. What a command takes is read from its usage line and
 * help, so that nothing is to be kept in step. */
#ifndef TTYLOCK_COMPLETE_H
#define TTYLOCK_COMPLETE_H

#include "view.h"

/* The view must outlive the last line that is edited. */
void complete_init(const struct view *v);

#endif
